"""Renders a mesh to a picture without a GPU or a display."""

from pathlib import Path

import numpy as np
import pyvips

from safelight.providers.inflate.arrays import Bytes, Floats, Ints
from safelight.providers.inflate.camera import Camera
from safelight.providers.inflate.images import read_at
from safelight.providers.inflate.light import backdrop, shade, to_linear, to_srgb
from safelight.providers.inflate.mesh import Mesh
from safelight.providers.inflate.raster import Hits, rasterize

_SAMPLES = 2  # a side, for each pixel
_NO_METADATA = 0


def render(mesh: Mesh, texture: Bytes, yaw: float, pitch: float, size: int) -> Bytes:
    """Return (size, size, 3), sRGB: the mesh seen from `yaw` degrees right of and `pitch` above it.

    `texture` is RGB, of any size.
    """
    # The backdrop is smooth, so that one sample a pixel is enough for it.
    behind = backdrop(mesh, Camera.facing(mesh, yaw, pitch, size)).reshape(size, 1, size, 1, 3)
    image = np.empty((size, _SAMPLES, size, _SAMPLES, 3), np.float32)
    image[:] = behind
    camera = Camera.facing(mesh, yaw, pitch, size * _SAMPLES)
    seen, depths = camera.project(camera.to_view(mesh.vertices.astype(np.float64)))
    hits = rasterize(seen[mesh.triangles], depths[mesh.triangles], camera.side)
    image.reshape(-1, 3)[hits.pixels] = _surface(mesh, texture, camera, hits)
    return to_srgb(image.mean(axis=(1, 3)))


def save_png(pixels: Bytes, path: Path) -> None:
    """Write RGB pixels (rows, columns, 3) to a file."""
    pyvips.Image.new_from_array(pixels).pngsave(str(path), keep=_NO_METADATA)


def _surface(mesh: Mesh, texture: Bytes, camera: Camera, hits: Hits) -> Floats:
    """Return the light (k, 3) of every pixel that shows the mesh."""
    corners = mesh.triangles[hits.triangles]
    normals = _between(mesh.normals, corners, hits.weights)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.float32(1e-9))
    heights = _between(mesh.vertices[:, 1:2], corners, hits.weights)[:, 0]
    above = (heights - mesh.vertices[:, 1].min()) / np.float32(camera.radius)
    color = _look_up(texture, _between(mesh.texture_places, corners, hits.weights))
    return shade(color, normals @ camera.turn.T.astype(np.float32), normals[:, 1], above)


def _between(values: Floats, corners: Ints, weights: Floats) -> Floats:
    """Return the mean (k, n) of the `values` (vertices, n) of three corners (k, 3)."""
    first, second, third = (values[corners[:, k]] * weights[:, k, None] for k in range(3))
    return first + second + third


def _look_up(texture: Bytes, places: Floats) -> Floats:
    """Return the texture's linear light (k, 3) at texture places (k, 2), between pixels too."""
    rows, columns = texture.shape[:2]
    down = places[:, 1].astype(np.float64) * rows - 0.5
    across = places[:, 0].astype(np.float64) * columns - 0.5
    linear = to_linear(texture)
    return np.stack([read_at(linear[..., k], down, across) for k in range(3)], axis=1)
