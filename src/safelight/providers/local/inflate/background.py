"""Models the background as a smooth color gradient fitted to the picture's border."""

from dataclasses import dataclass

import numpy as np

from safelight.providers.local.inflate.arrays import Bools, Bytes, Floats
from safelight.providers.local.inflate.images import blur

_ROUNDS = 8
_KEEP = 2.5  # times the median residual: border pixels beyond it count as the object
_STRIP = 0.025  # border width, as a fraction of the shorter side
_CORNER = 1 / 8  # part of the lower edge that counts, from each corner
_ROBUST = 1.4826  # standard deviation per median absolute deviation, in normal noise
_LEAST_SPREAD = 0.6  # CIELAB units: less is invisible, and rounding causes as much
_NOISE = 4.0  # times the spread: anything closer is background
_LEAST = 6.0  # CIELAB units: anything closer is indistinguishable
_MAX_SAMPLES = 8000

# sRGB (IEC 61966-2-1) to CIE XYZ under D65, divided by the white point, as CIELAB needs it.
_TO_XYZ = np.array(
    [
        [0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883],
    ],
    np.float32,
)
_DARK = 0.04045
_CUBE_FROM = 216 / 24389  # CIE's epsilon
_SLOPE = 24389 / 27 / 116  # CIE's kappa over 116


@dataclass(frozen=True, slots=True)
class Shade:
    """A background's color as a polynomial over the picture.

    `spread` is the typical CIELAB distance of the border's colors from it, and `follows` the part
    of the border, 0 to 1, within the noise.
    """

    weights: Floats  # (6, 3)
    spread: float
    follows: float

    @property
    def noise(self) -> float:
        """The maximum CIELAB distance of a color that may still be background."""
        return max(_LEAST, _NOISE * self.spread)

    def colors(self, rows: int, columns: int) -> Floats:
        """Return the background's CIELAB colors (rows, columns, 3) in a picture of that size."""
        down, across = np.mgrid[:rows, :columns]
        terms = _terms(down.ravel() / rows, across.ravel() / columns)
        return (terms @ self.weights).astype(np.float32).reshape(rows, columns, 3)


def fit_shade(lab: Floats) -> Shade:
    """Return the shade of most of the border of a CIELAB picture (rows, columns, 3).

    Iterated least squares without outliers, starting at the median color, so an object that covers
    less than half of the border does not count.
    """
    rows, columns = lab.shape[:2]
    down, across = np.nonzero(border(rows, columns))
    step = len(down) // _MAX_SAMPLES + 1
    down, across = down[::step], across[::step]
    terms, colors = _terms(down / rows, across / columns), lab[down, across].astype(np.float64)
    weights = np.zeros((terms.shape[1], 3))
    weights[0] = np.median(colors, axis=0)
    spread = _LEAST_SPREAD
    for _ in range(_ROUNDS):
        residual = np.linalg.norm(colors - terms @ weights, axis=1)
        spread = max(_LEAST_SPREAD, _ROBUST * float(np.median(residual)))
        weights = _least_squares(terms, colors, residual <= _KEEP * spread)
    shade = Shade(weights, spread, 0.0)
    residual = np.linalg.norm(colors - terms @ weights, axis=1)
    return Shade(weights, spread, float((residual <= shade.noise).mean()))


def border(rows: int, columns: int) -> Bools:
    """Return where a picture's border shows background.

    Of the lower edge, only the corners count: an object is often cut off there.
    """
    width = max(1, round(_STRIP * min(rows, columns)))
    found = np.ones((rows, columns), bool)
    found[width:-width, width:-width] = False
    corner = max(1, round(_CORNER * columns))
    found[width:, max(width, corner) : columns - max(width, corner)] = False
    return found


def to_lab(rgb: Bytes, sigma: float) -> Floats:
    """Return CIELAB (D65) of 8-bit sRGB (rows, columns, 3), blurred by `sigma` pixels.

    Noise must be averaged before distances are computed, since it only increases them.
    """
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    linear = np.where(levels <= _DARK, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    xyz = linear.astype(np.float32)[rgb] @ _TO_XYZ.T
    f = np.where(xyz > _CUBE_FROM, np.cbrt(xyz), _SLOPE * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    bands = (116 * y - 16, 500 * (x - y), 200 * (y - z))
    return np.stack([blur(band.astype(np.float32), sigma) for band in bands], axis=-1)


def _terms(down: Floats, across: Floats) -> Floats:
    """Return (n, 6): a second-degree polynomial, enough for light that falls off to the side."""
    y, x = down - 0.5, across - 0.5
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _least_squares(terms: Floats, colors: Floats, chosen: Bools) -> Floats:
    # The ridge keeps the polynomial flat if the border has too few samples.
    ridge = np.diag([0.0, *[1e-3 * chosen.sum()] * (terms.shape[1] - 1)])
    known = terms[chosen]
    return np.linalg.solve(known.T @ known + ridge, known.T @ colors[chosen])
