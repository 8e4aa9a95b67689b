"""Models the background as a smooth shade of color fitted to the picture's border."""

import numpy as np

from safelight.providers.inflate.arrays import Bools, Bytes, Floats
from safelight.providers.inflate.images import blur

_ROUNDS = 8
_KEEP = 2.5  # times the median residual: border pixels further off are taken for the object
_STRIP = 0.025  # of the shorter side: how wide the border is
_ROBUST = 1.4826  # a standard deviation for each median absolute one, in normal noise
_LEAST_SPREAD = 0.6  # CIELAB units: less is not to be seen, and rounding alone makes as much
_MAX_SAMPLES = 8000
_BLUR = 1.2  # pixels

# sRGB (IEC 61966-2-1) to CIE XYZ under D65, divided by the white point, as CIELAB wants it.
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


def distance_from_background(rgb: Bytes) -> tuple[Floats, float]:
    """Return each pixel's distance from the background's color, and the background's own spread.

    `rgb` is (rows, columns, 3); distances are (rows, columns), in CIELAB units, where about 2 can
    just be seen.
    """
    # Noise is averaged away before distances are taken: it would only ever add to them.
    lab = np.stack([blur(band, _BLUR) for band in np.moveaxis(to_lab(rgb), -1, 0)], axis=-1)
    rows, columns = lab.shape[:2]
    border = _border(rows, columns)
    down, across = np.nonzero(border)
    step = len(down) // _MAX_SAMPLES + 1
    down, across = down[::step], across[::step]
    terms = _terms(down / rows, across / columns)
    weights, spread = _fit(terms, lab[down, across].astype(np.float64))
    everywhere = _terms(*_places(rows, columns)) @ weights
    distance = np.linalg.norm(lab.reshape(-1, 3) - everywhere, axis=1)
    return distance.astype(np.float32).reshape(rows, columns), spread


def to_lab(rgb: Bytes) -> Floats:
    """Return CIELAB (D65) of 8-bit sRGB; any shape that ends in 3."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    linear = np.where(levels <= _DARK, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    xyz = linear.astype(np.float32)[rgb] @ _TO_XYZ.T
    f = np.where(xyz > _CUBE_FROM, np.cbrt(xyz), _SLOPE * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def _border(rows: int, columns: int) -> Bools:
    width = max(1, round(_STRIP * min(rows, columns)))
    border = np.ones((rows, columns), bool)
    border[width:-width, width:-width] = False
    return border


def _places(rows: int, columns: int) -> tuple[Floats, Floats]:
    down, across = np.mgrid[:rows, :columns]
    return down.ravel() / rows, across.ravel() / columns


def _terms(down: Floats, across: Floats) -> Floats:
    """Return (n, 6): a polynomial of second degree, enough for light that falls off sideways."""
    y, x = down - 0.5, across - 0.5
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _fit(terms: Floats, colors: Floats) -> tuple[Floats, float]:
    """Return the polynomial's weights (6, 3) and the usual residual of those that follow it.

    Least squares, again and again without what lies far off, beginning at the median color: so an
    object that reaches over less than half of the border does not count.
    """
    weights = np.zeros((terms.shape[1], 3))
    weights[0] = np.median(colors, axis=0)
    spread = _LEAST_SPREAD
    for _ in range(_ROUNDS):
        residual = np.linalg.norm(colors - terms @ weights, axis=1)
        spread = max(_LEAST_SPREAD, _ROBUST * float(np.median(residual)))
        near = residual <= _KEEP * spread
        # The ridge keeps the curve flat where the border has too few samples to bend it.
        ridge = np.diag([0.0, *[1e-3 * near.sum()] * (terms.shape[1] - 1)])
        chosen = terms[near]
        weights = np.linalg.solve(chosen.T @ chosen + ridge, chosen.T @ colors[near])
    return weights, spread
