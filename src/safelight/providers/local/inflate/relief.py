"""Raises a plaque's surface by the picture's brightness: a coin relief with a beveled rim."""

import numpy as np

from safelight.providers.errors import NoForeground
from safelight.providers.local.inflate.arrays import Bools, Floats
from safelight.providers.local.inflate.images import blur, distance_to

_BASE = 0.05  # of the longest side: base of a plaque of thickness 1
_RAISE = 0.11  # of the longest side: relief height at thickness 1
_LEAST_CONTRAST = 0.02  # of full brightness
_ENDS = (1, 99)  # percentiles used as black and white
_LEAST_BLUR, _MOST_BLUR = 0.4, 2.2  # grid cells: without smoothing, and added at full smoothing
_BEVEL = 2.5  # grid cells: width of the bevel


def relief(field: Floats, light: Floats, thickness: float, smoothing: float) -> Floats:
    """Return the plaque's thickness at each point where `field` is positive, in grid units.

    `light` is the picture's brightness on the same grid (rows, columns), 0 to 1.
    """
    inside = field > 0
    low, high = np.percentile(light[inside], _ENDS)
    if high - low < _LEAST_CONTRAST:  # small drawings count too
        low, high = light[inside].min(), light[inside].max()
    if high - low < _LEAST_CONTRAST:
        raise NoForeground("The picture has uniform brightness, so there is nothing to raise.")
    stretched = np.clip((light - low) / (high - low), 0, 1).astype(np.float32)
    height = _blur_inside(stretched, inside, _LEAST_BLUR + _MOST_BLUR * smoothing)
    bevel = np.sin(np.clip(distance_to(~inside) / _BEVEL, 0, 1) * (np.pi / 2))
    scale = thickness * max(field.shape)
    return scale * (_BASE + _RAISE * (height * bevel)[inside].astype(np.float64))


def rim_height(field: Floats, thickness: float) -> float:
    """Return the plaque's thickness at its rim, in grid units."""
    return thickness * max(field.shape) * _BASE


def _blur_inside(values: Floats, inside: Bools, sigma: float) -> Floats:
    """Blur by `sigma` cells, using only values inside."""
    weight = blur(inside.astype(np.float32), sigma)
    total = blur(np.where(inside, values, np.float32(0)), sigma)
    return total / np.maximum(weight, np.float32(1e-9))
