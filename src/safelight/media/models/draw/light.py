"""Shades a surface with key, fill and rim light, sky and bounce; encodes light as sRGB.

All colors here are linear light (sRGB primaries), 0 to 1.
"""

import math

import numpy as np

from safelight.media.models.arrays import Bytes, Floats

_DARK = 0.04045
_LINEAR_DARK = 0.0031308


def vector(*parts: float, scale: float = 1.0) -> Floats:
    return np.array(parts, np.float32) * np.float32(scale)


def _direction(x: float, y: float, z: float) -> Floats:
    return vector(x, y, z, scale=1 / math.hypot(x, y, z))


# Directions in the camera's axes, so that the visible side is always well lit.
KEY = _direction(-0.5, 0.75, 0.75)
_KEY_COLOR = vector(1.0, 0.96, 0.90, scale=0.68)
_FILL, _FILL_COLOR = _direction(0.9, 0.15, 0.5), vector(0.80, 0.90, 1.0, scale=0.18)
_SKY, _BOUNCE = vector(0.94, 0.97, 1.0, scale=0.52), vector(1.0, 0.96, 0.92, scale=0.26)
_HALF = _direction(*(KEY + vector(0, 0, 1)).tolist())  # between the key light and the camera
_WRAP = 0.2  # how far the key light wraps around the edge
_SHINE, _GLOSS = 0.10, 36.0
_RIM, _RIM_POWER = 0.16, 3.5
_CONTACT = 0.45  # how much darker the underside is just above the ground
_CONTACT_REACH = 0.22  # in radii of the model


def _linear_levels() -> Floats:
    levels = np.arange(256) / 255
    linear = np.where(levels <= _DARK, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


LINEAR = _linear_levels()
"""Linear light for each 8-bit sRGB level (IEC 61966-2-1)."""


def to_srgb(light: Floats) -> Bytes:
    """Return 8-bit sRGB of linear light; highlights roll off instead of clipping."""
    rolled = np.where(light > 0.8, 1 - 0.2 * np.exp(-(light - 0.8) / 0.2), light)  # noqa: PLR2004
    high = 1.055 * np.maximum(rolled, _LINEAR_DARK) ** (1 / 2.4) - 0.055
    coded = np.where(rolled <= _LINEAR_DARK, rolled * 12.92, high)
    return np.rint(255 * np.clip(coded, 0, 1)).astype(np.uint8)


def shade(color: Floats, normals: Floats, upward: Floats, above: Floats) -> Floats:
    """Return the light (n, 3) that surfaces of `color` reflect to the camera.

    `normals` (n, 3) are in the camera's axes, `upward` (n,) their part along the model's y, and
    `above` (n,) the height over the ground in radii of the model.
    """
    key = np.clip((normals @ KEY + _WRAP) / (1 + _WRAP), 0, 1)[:, None]
    fill = np.clip(normals @ _FILL, 0, 1)[:, None]
    sky = (0.5 + 0.5 * upward)[:, None]
    occluded = 1 - _CONTACT * np.exp(-above / _CONTACT_REACH) * (1 - np.clip(upward, 0, 1))
    ambient = (_SKY * sky + _BOUNCE * (1 - sky)) * occluded[:, None]
    shine = _SHINE * np.clip(normals @ _HALF, 0, 1) ** _GLOSS
    rim = _RIM * np.clip(1 - normals[:, 2], 0, 1) ** _RIM_POWER * (0.4 + 0.6 * sky[:, 0])
    return color * (key * _KEY_COLOR + fill * _FILL_COLOR + ambient) + (shine + rim)[:, None]
