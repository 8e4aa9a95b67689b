"""Lights a surface and the ground below it: key, fill and rim light, sky, and soft shadow.

All colors here are linear light (sRGB primaries), 0 to 1.
"""

import math

import numpy as np

from safelight.providers.inflate.arrays import Bytes, Floats, Ints
from safelight.providers.inflate.camera import Camera
from safelight.providers.inflate.images import blur, read_at
from safelight.providers.inflate.mesh import Mesh
from safelight.providers.inflate.raster import rasterize

_DARK = 0.04045
_LINEAR_DARK = 0.0031308


def _vector(*parts: float, scale: float = 1.0) -> Floats:
    return np.array(parts, np.float32) * np.float32(scale)


def _direction(x: float, y: float, z: float) -> Floats:
    return _vector(x, y, z, scale=1 / math.hypot(x, y, z))


# Directions in the view's axes, so that what is seen is always well lit.
_KEY, _KEY_COLOR = _direction(-0.5, 0.75, 0.75), _vector(1.0, 0.96, 0.90, scale=0.68)
_FILL, _FILL_COLOR = _direction(0.9, 0.15, 0.5), _vector(0.80, 0.90, 1.0, scale=0.18)
_SKY, _BOUNCE = _vector(0.94, 0.97, 1.0, scale=0.52), _vector(1.0, 0.96, 0.92, scale=0.26)
_HALF = _direction(*(_KEY + _vector(0, 0, 1)).tolist())  # between the key light and the camera
_WRAP = 0.2  # how far the key light reaches beyond the edge of its own side
_SHINE, _GLOSS = 0.10, 36.0
_RIM, _RIM_POWER = 0.16, 3.5
_CONTACT = 0.45  # how much darker the underside is right above the ground
_CONTACT_REACH = 0.22  # of the model's radius

_TOP, _BOTTOM = _vector(0.88, 0.90, 0.93), _vector(0.70, 0.72, 0.76)
_VIGNETTE = 0.16

_SHADOW_SIDE = 256  # pixels of the ground's shadow
_SHADOW_REACH = 3.2  # radii of the model that it covers, from edge to edge
# How far the shadow leans for each unit of height, how blurred it is (radii), and how dark.
_SHADOWS = ((0.05, 0.05, 0.42), (0.45, 0.17, 0.34))


def to_linear(pixels: Bytes) -> Floats:
    """Return the linear light of 8-bit sRGB (IEC 61966-2-1)."""
    levels = np.arange(256) / 255
    linear = np.where(levels <= _DARK, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)[pixels]


def to_srgb(light: Floats) -> Bytes:
    """Return 8-bit sRGB of linear light; what is too bright rolls off instead of clipping."""
    rolled = np.where(light > 0.8, 1 - 0.2 * np.exp(-(light - 0.8) / 0.2), light)  # noqa: PLR2004
    high = 1.055 * np.maximum(rolled, _LINEAR_DARK) ** (1 / 2.4) - 0.055
    coded = np.where(rolled <= _LINEAR_DARK, rolled * 12.92, high)
    return np.rint(255 * np.clip(coded, 0, 1)).astype(np.uint8)


def shade(color: Floats, normals: Floats, upward: Floats, above: Floats) -> Floats:
    """Return the light (n, 3) that surfaces of `color` send to the camera.

    `normals` (n, 3) are in the view's axes, `upward` (n,) their part along the model's y, and
    `above` (n,) the height over the ground in radii of the model.
    """
    key = np.clip((normals @ _KEY + _WRAP) / (1 + _WRAP), 0, 1)[:, None]
    fill = np.clip(normals @ _FILL, 0, 1)[:, None]
    sky = (0.5 + 0.5 * upward)[:, None]
    occluded = 1 - _CONTACT * np.exp(-above / _CONTACT_REACH) * (1 - np.clip(upward, 0, 1))
    ambient = (_SKY * sky + _BOUNCE * (1 - sky)) * occluded[:, None]
    shine = _SHINE * np.clip(normals @ _HALF, 0, 1) ** _GLOSS
    rim = _RIM * np.clip(1 - normals[:, 2], 0, 1) ** _RIM_POWER * (0.4 + 0.6 * sky[:, 0])
    return color * (key * _KEY_COLOR + fill * _FILL_COLOR + ambient) + (shine + rim)[:, None]


def backdrop(mesh: Mesh, camera: Camera) -> Floats:
    """Return the empty scene (side * side, 3): a bright wall and floor with the model's shadow."""
    side = camera.side
    down, across = (np.mgrid[:side, :side] + 0.5) / side
    mix = np.clip(down, 0, 1)[..., None] ** 1.5
    far = ((down - 0.5) ** 2 + (across - 0.5) ** 2)[..., None]
    wall = (_TOP * (1 - mix) + _BOTTOM * mix) * (1 - _VIGNETTE * far * 2)
    return wall.reshape(-1, 3) * (1 - _shadow_seen(mesh, camera))[:, None]


def _shadow_seen(mesh: Mesh, camera: Camera) -> Floats:
    ground = float(mesh.vertices[:, 1].min())
    reach = _SHADOW_REACH * camera.radius
    places = (camera.ground(ground) - camera.middle[[0, 2]]) / reach + 0.5
    places = np.where(np.isfinite(places), places, -1.0) * _SHADOW_SIDE - 0.5
    return read_at(_shadow(mesh, camera), places[:, 1], places[:, 0], outside=0)


def _shadow(mesh: Mesh, camera: Camera) -> Floats:
    """Return how dark the ground is, 0 to 1, from above: rows along z, columns along x."""
    lit = np.ones((_SHADOW_SIDE, _SHADOW_SIDE))
    scale = _SHADOW_SIDE / _SHADOW_REACH  # pixels of one radius
    away = -(_KEY @ camera.turn)[[0, 2]]  # where the key light throws shadows, in the model's axes
    for lean, spread, darkness in _SHADOWS:
        covered = _covered(mesh.vertices, mesh.triangles, away * lean, camera)
        lit *= 1 - darkness * blur(covered, spread * scale)
    return 1 - lit


def _covered(vertices: Floats, triangles: Ints, lean: Floats, camera: Camera) -> Floats:
    """Return 1 where the model stands between the ground and the light, else 0."""
    height = vertices[:, 1:2] - vertices[:, 1].min()
    thrown = vertices[:, [0, 2]] + height * lean - camera.middle[[0, 2]]
    places = (thrown / (_SHADOW_REACH * camera.radius) + 0.5) * _SHADOW_SIDE
    depths = np.ones(triangles.shape)
    hits = rasterize(places[triangles], depths, _SHADOW_SIDE)
    image = np.zeros(_SHADOW_SIDE**2)
    image[hits.pixels] = 1
    return image.reshape(_SHADOW_SIDE, _SHADOW_SIDE)
