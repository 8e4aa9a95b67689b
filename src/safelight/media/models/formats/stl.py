"""Writes the surface alone, as binary STL.

Layout: https://www.loc.gov/preservation/digital/formats/fdd/fdd000505.shtml
"""

import struct
from pathlib import Path

import numpy as np

from safelight.media.models.formats.scene import Floats, Scene
from safelight.media.models.formats.turned import z_up

# Readers take a header that starts with "solid" for a text STL.
_HEADER = b"Binary STL by Safelight, z up, meters".ljust(80)
_FACE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])
_AT_ONCE = 1 << 16  # triangles, to bound memory
_TINY = 1e-30


def write_stl(scene: Scene, target: Path, _name: str) -> None:
    """Write all parts as one surface, z up."""
    with target.open("wb") as file:
        file.write(_HEADER)
        file.write(struct.pack("<I", sum(len(part.triangles) for part in scene.parts)))
        for part in scene.parts:
            points = z_up(part.points)
            for start in range(0, len(part.triangles), _AT_ONCE):
                corners = points[part.triangles[start : start + _AT_ONCE]]
                faces = np.zeros(len(corners), _FACE)
                faces["corners"] = corners
                faces["normal"] = _facing(corners)
                file.write(faces.tobytes())


def _facing(corners: Floats) -> Floats:
    """Return unit normals (m, 3) of triangles (m, 3, 3); zero for those without an area."""
    sides = corners[:, 1:].astype(np.float64) - corners[:, :1]
    normals = np.cross(sides[:, 0], sides[:, 1])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return (normals / np.maximum(length, _TINY)).astype(np.float32)
