"""Separates an object from a multicolored background, like GrabCut without a graph cut.

C. Rother, V. Kolmogorov, A. Blake, "GrabCut: Interactive Foreground Extraction using Iterated Graph
Cuts", SIGGRAPH 2004: a color mixture for object and background, refitted to the result of each
iteration. Here the initial guess comes from the picture's border instead of a hand-drawn rectangle,
and a random walk replaces the cut.
"""

from dataclasses import dataclass

import numpy as np

from safelight.providers.errors import NoForeground
from safelight.providers.local.inflate.arrays import Bools, Bytes, Floats
from safelight.providers.local.inflate.background import Shade, border, fit_shade, to_lab
from safelight.providers.local.inflate.images import opened
from safelight.providers.local.inflate.mixture import Mixture, fit_mixture
from safelight.providers.local.inflate.threshold import NotTwoKinds, otsu
from safelight.providers.local.inflate.walker import random_walk

_ROUNDS = 3
_BLUR = 0.7  # pixels
_RARE = 0.05  # fraction of the border: rarer colors may be the object's
_SHADE_SHARE = 0.3  # frequency of colors on the border's shade
_LEAST_VARIANCE = 4.0  # CIELAB units, squared
# Natural logarithms of likelihoods: the cap, and the smallest useful difference.
_MOST_SURPRISE, _LEAST_SURPRISE = 40.0, 4.0
_CENTER = (0.38, 0.35)  # standard deviations of object positions, in heights and widths
_OFF_CENTER = 0.02  # likelihood of an object far from the center, relative to the center
_LIKELY_SEED = 0.05  # less likely places are left out of the initial guess
_BIAS = 1.0  # logarithm: bias towards the object
_DOUBT = 3.0  # correlation of neighbors, which the likelihoods ignore
_AT_BORDER = 0.3  # weight of border colors for the object
_SURE = 0.5


@dataclass(frozen=True, slots=True)
class _Scene:
    """A CIELAB picture (rows, columns, 3), with the priors of background and object."""

    lab: Floats
    border: Bools
    shade: Floats  # log density of each pixel under the border's shade
    place: Floats  # log likelihood of an object at each pixel

    @classmethod
    def of(cls, rgb: Bytes) -> "_Scene":
        lab = to_lab(rgb, _BLUR)
        rows, columns = lab.shape[:2]
        shade = _shade_density(lab, fit_shade(lab))
        return cls(lab, border(rows, columns), shade, _likely_place(rows, columns))


def part_from_background(rgb: Bytes, fine: Bytes) -> Floats:
    """Return each pixel's probability of being the object, for `fine`: (rows, columns).

    `rgb` and `fine` are the same picture, a small one to learn the colors from and a larger one.
    """
    scene = _Scene.of(rgb)
    background = fit_mixture(scene.lab[scene.border]).without_rare(_RARE)
    found = _first_guess(scene, background)
    for _ in range(_ROUNDS):
        foreground = _colors_of(scene, found)
        found = _parted(scene, foreground, background) > _SURE
        background = _colors_of(scene, ~found)
    return _parted(_Scene.of(fine), _colors_of(scene, found), background)


def _first_guess(scene: _Scene, background: Mixture) -> Bools:
    """Return the pixels unlike the border and not far from the center."""
    density = np.logaddexp(background.log_density(scene.lab), scene.shade)
    usual = float(np.median(density[scene.border]))
    surprise = np.clip(usual - density, 0, _MOST_SURPRISE)
    try:
        threshold = max(otsu(surprise), _LEAST_SURPRISE)
    except NotTwoKinds:
        raise NoForeground from None
    return opened((surprise > threshold) & (scene.place > np.log(_LIKELY_SEED)))


def _colors_of(scene: _Scene, found: Bools) -> Mixture:
    if not found.any():
        raise NoForeground
    return fit_mixture(scene.lab[found])


def _parted(scene: _Scene, foreground: Mixture, background: Mixture) -> Floats:
    behind = np.logaddexp(background.log_density(scene.lab), scene.shade)
    odds = foreground.log_density(scene.lab) - behind + scene.place + _BIAS
    hints = 1 / (1 + np.exp(-np.clip(odds / _DOUBT, -20, 20)))
    return random_walk(np.where(scene.border, _AT_BORDER * hints, hints), scene.lab)


def _shade_density(lab: Floats, shade: Shade) -> Floats:
    """Return the log density (rows, columns) of colors around the background's shade."""
    rows, columns = lab.shape[:2]
    variance = shade.spread**2 + _LEAST_VARIANCE
    off = np.square(lab - shade.colors(rows, columns)).sum(axis=-1)
    return np.log(_SHADE_SHARE) - 0.5 * off / variance - 1.5 * np.log(2 * np.pi * variance)


def _likely_place(rows: int, columns: int) -> Floats:
    """Return the log likelihood (rows, columns) of an object's position: most are centered."""
    down, across = np.mgrid[:rows, :columns]
    y, x = (down + 0.5) / rows - 0.5, (across + 0.5) / columns - 0.5
    near = np.exp(-(np.square(y / _CENTER[0]) + np.square(x / _CENTER[1])) / 2)
    return np.log(near + _OFF_CENTER).astype(np.float32)
