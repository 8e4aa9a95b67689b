"""Writes the surface with a color at each vertex, as binary PLY.

Layout: http://paulbourke.net/dataformats/ply/
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from safelight.media.models.formats.pixels import decode, sample, to_encoded
from safelight.media.models.formats.scene import Bytes, Floats, Opacity, Part, Scene
from safelight.media.models.formats.turned import z_up

_Fields: TypeAlias = list[tuple[str, str]]

_WORDS = {"<f4": "float", "u1": "uchar"}
_PLACE: _Fields = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
_NORMAL: _Fields = [("nx", "<f4"), ("ny", "<f4"), ("nz", "<f4")]
_COLOR: _Fields = [("red", "u1"), ("green", "u1"), ("blue", "u1")]
_ALPHA: _Fields = [("alpha", "u1")]
_FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])
_WHITE = (1.0, 1.0, 1.0, 1.0)


def write_ply(scene: Scene, target: Path, _name: str) -> None:
    """Write all parts as one surface, z up, with the visible colors in sRGB.

    It has normals if all parts have them, colors if any part has one, and alpha if any part is
    transparent.
    """
    fields = _fields(scene)
    with target.open("wb") as file:
        file.write(_header(scene, fields))
        colors = _Colors()
        for part in scene.parts:
            file.write(_vertices(part, fields, colors).tobytes())
        start = 0
        for part in scene.parts:
            faces = np.empty(len(part.triangles), _FACE)
            faces["count"] = 3
            faces["corners"] = part.triangles + start
            file.write(faces.tobytes())
            start += len(part.points)


def _fields(scene: Scene) -> _Fields:
    fields = list(_PLACE)
    if all(part.normals is not None for part in scene.parts):
        fields += _NORMAL
    if any(_is_colored(part) for part in scene.parts):
        fields += _COLOR
        if any(part.material.opacity is not Opacity.OPAQUE for part in scene.parts):
            fields += _ALPHA
    return fields


def _is_colored(part: Part) -> bool:
    material = part.material
    return part.colors is not None or bool(material.color_texture) or material.color != _WHITE


def _header(scene: Scene, fields: _Fields) -> bytes:
    points = sum(len(part.points) for part in scene.parts)
    triangles = sum(len(part.triangles) for part in scene.parts)
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        "comment by Safelight, z up, meters",
        f"element vertex {points}",
        *(f"property {_WORDS[kind]} {name}" for name, kind in fields),
        f"element face {triangles}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    return "".join(f"{line}\n" for line in lines).encode("ascii")


def _vertices(part: Part, fields: _Fields, colors: "_Colors") -> npt.NDArray[np.void]:
    rows = np.empty(len(part.points), np.dtype(fields))
    _fill(rows, _PLACE, z_up(part.points))
    if _NORMAL[0] in fields and part.normals is not None:
        _fill(rows, _NORMAL, z_up(part.normals))
    if _COLOR[0] in fields:
        seen = colors.of(part)
        _fill(rows, _COLOR, seen[:, :3])
        if _ALPHA[0] in fields:
            _fill(rows, _ALPHA, seen[:, 3:])
    return rows


def _fill(rows: npt.NDArray[np.void], fields: _Fields, values: npt.NDArray[Any]) -> None:
    for column, (name, _) in enumerate(fields):
        rows[name] = values[:, column]


class _Colors:
    """Computes the visible color of each vertex."""

    def __init__(self) -> None:
        # Parts with the same material are adjacent, and a large picture takes much memory.
        self._decode = lru_cache(maxsize=1)(decode)

    def of(self, part: Part) -> Bytes:
        """Return sRGB and alpha (n, 4): material color times texture times vertex color.

        https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#metallic-roughness-material
        """
        material = part.material
        light: Floats = np.tile(np.array(material.color, np.float32), (len(part.points), 1))
        if material.color_texture and part.uv is not None:
            pixels = self._decode(material.color_texture.picture)
            light *= sample(pixels, material.color_texture, part.uv)
        if part.colors is not None:
            light *= part.colors
        light[:, :3] = to_encoded(light[:, :3])
        light[:, 3] = _alpha(light[:, 3], part)
        return np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)


def _alpha(alpha: Floats, part: Part) -> Floats:
    match part.material.opacity:
        case Opacity.OPAQUE:
            return np.ones_like(alpha)
        case Opacity.MASK:
            return (alpha >= part.material.cutoff).astype(np.float32)
        case Opacity.BLEND:
            return alpha
