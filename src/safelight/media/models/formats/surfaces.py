"""Reads glTF primitives: each a surface of one material, in its mesh's coordinate space.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#meshes
"""

from dataclasses import dataclass

import numpy as np

from safelight.json_object import JsonObject
from safelight.media.errors import MediaTruncated, MediaUnsupported
from safelight.media.models.formats.accessors import is_stored, read_floats, read_integers
from safelight.media.models.formats.document import Document
from safelight.media.models.formats.looks import Looks
from safelight.media.models.formats.scene import Floats, Ints, Material

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_RGB = 3
_SHAPES = {"NORMAL": ["VEC3"], "COLOR_0": ["VEC3", "VEC4"], "WEIGHTS_0": ["VEC4"]}
_DRACO = "KHR_draco_mesh_compression"


@dataclass(frozen=True, slots=True)
class Surface:
    """A `Part` before its transform; `joints` and `weights` (n, 4) bind it to a skeleton."""

    points: Floats
    triangles: Ints
    material: Material
    normals: Floats | None
    uv: Floats | None
    colors: Floats | None
    joints: Ints | None
    weights: Floats | None


def read_surface(document: Document, looks: Looks, primitive: JsonObject) -> Surface | None:
    """Return a primitive's surface with the vertices it uses; None if it has no triangles."""
    mode = primitive.get("mode", _TRIANGLES)
    if mode < _TRIANGLES:  # points and lines
        return None
    attributes = primitive["attributes"]
    if _DRACO in primitive.get("extensions", {}) and not is_stored(
        document, attributes["POSITION"]
    ):
        raise MediaUnsupported(f"The 3D model needs {_DRACO}, which is not supported.")
    points = read_floats(document, attributes["POSITION"], "VEC3")
    indices = np.arange(len(points))
    if "indices" in primitive:
        indices = read_integers(document, primitive["indices"], "SCALAR")
    used, triangles = _used(_assembled(indices, mode), len(points))
    if not len(triangles):
        return None
    look = looks.look(primitive.get("material"))
    places = f"TEXCOORD_{look.laying.places}"
    floats = {
        name: read_floats(document, attributes[name], *shapes)[used]
        for name, shapes in (_SHAPES | {places: ["VEC2"]}).items()
        if name in attributes
    }
    uv = floats.get(places)
    is_hung = "JOINTS_0" in attributes
    return Surface(
        points[used],
        triangles,
        look.material,
        floats.get("NORMAL"),
        None if uv is None else look.laying.apply(uv),
        _with_alpha(floats.get("COLOR_0")),
        read_integers(document, attributes["JOINTS_0"], "VEC4")[used] if is_hung else None,
        floats.get("WEIGHTS_0"),
    )


def _assembled(indices: Ints, mode: int) -> Ints:
    """Return triangles (m, 3) from a list, a strip or a fan."""
    if mode == _TRIANGLES:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    if mode not in {_STRIP, _FAN}:
        raise MediaTruncated("The 3D file has surfaces of an unknown kind.")
    each = np.arange(max(len(indices) - 2, 0))
    if mode == _FAN:
        corners = np.stack([each + 1, each + 2, np.zeros_like(each)], axis=1)
    else:
        corners = np.stack([each, each + 1 + each % 2, each + 2 - each % 2], axis=1)
    triangles = indices[corners]
    a, b, c = triangles.T
    # Strips contain degenerate triangles where they turn corners.
    return triangles[(a != b) & (b != c) & (c != a)]


def _used(triangles: Ints, count: int) -> tuple[Ints, Ints]:
    """Return which of `count` vertices are used, and the triangles reindexed to those.

    Meshes may share one long list of vertices and use few of them each.
    """
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < count:
        raise MediaTruncated("The 3D file names vertices that it does not have.")
    is_used = np.zeros(count, bool)
    is_used[triangles] = True
    return np.flatnonzero(is_used), (np.cumsum(is_used) - 1)[triangles]


def _with_alpha(colors: Floats | None) -> Floats | None:
    if colors is None or colors.shape[1] > _RGB:
        return colors
    return np.column_stack([colors, np.ones(len(colors), np.float32)])
