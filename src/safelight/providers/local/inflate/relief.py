"""Raises a plaque's surface by how bright the picture is: a coin's relief, with a bevelled rim."""

import numpy as np

from safelight.providers.errors import NoForeground
from safelight.providers.local.inflate.arrays import Bools, Floats
from safelight.providers.local.inflate.images import blur, distance_to

_BASE = 0.05  # of the longest side: what a plaque of thickness 1 has under its lowest point
_RAISE = 0.11  # of the longest side: from the darkest to the brightest point at thickness 1
_LEAST_CONTRAST = 0.02  # of full brightness
_ENDS = (1, 99)  # percentiles taken for black and white
_LEAST_BLUR, _MOST_BLUR = 0.4, 2.2  # grid cells, at no and added at full smoothing
_BEVEL = 2.5  # grid cells over which the surface comes down to the rim


def relief(field: Floats, light: Floats, thickness: float, smoothing: float) -> Floats:
    """Return the plaque's thickness at each point where `field` is positive, in grid units.

    `light` is the picture's brightness on the same grid (rows, columns), 0 to 1.
    """
    inside = field > 0
    low, high = np.percentile(light[inside], _ENDS)
    if high - low < _LEAST_CONTRAST:  # what is drawn may be small
        low, high = light[inside].min(), light[inside].max()
    if high - low < _LEAST_CONTRAST:
        raise NoForeground("The picture is of one brightness, so there is nothing to raise.")
    stretched = np.clip((light - low) / (high - low), 0, 1).astype(np.float32)
    height = _blur_inside(stretched, inside, _LEAST_BLUR + _MOST_BLUR * smoothing)
    bevel = np.sin(np.clip(distance_to(~inside) / _BEVEL, 0, 1) * (np.pi / 2))
    scale = thickness * max(field.shape)
    return scale * (_BASE + _RAISE * (height * bevel)[inside].astype(np.float64))


def rim_height(field: Floats, thickness: float) -> float:
    """Return the plaque's thickness at its rim, in grid units."""
    return thickness * max(field.shape) * _BASE


def _blur_inside(values: Floats, inside: Bools, sigma: float) -> Floats:
    """Blur by `sigma` cells, looking only at what is inside."""
    weight = blur(inside.astype(np.float32), sigma)
    total = blur(np.where(inside, values, np.float32(0)), sigma)
    return total / np.maximum(weight, np.float32(1e-9))
