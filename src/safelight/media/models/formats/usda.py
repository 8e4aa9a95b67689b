"""Writes a scene as USDA, the text form of Universal Scene Description, y up, in meters.

Materials follow https://openusd.org/release/spec_usdpreviewsurface.html.
"""

from collections.abc import Mapping
from typing import IO

import numpy as np

from safelight.media.models.formats.scene import Floats, Ints, Part, Scene, TextureImage
from safelight.media.models.formats.shading import Use, material_text
from safelight.media.models.formats.text import write_rows

_HEAD = """#usda 1.0
(
    customLayerData = {
        string creator = "Safelight"
    }
    defaultPrim = "Model"
    metersPerUnit = 1
    upAxis = "Y"
)

def Xform "Model" (
    kind = "component"
)
{
"""
_LOOKS = "/Model/Looks"
_TUPLES = {1: "%d, ", 2: "(%.9g, %.9g), ", 3: "(%.9g, %.9g, %.9g), "}


def write_usda(file: IO[bytes], scene: Scene, pictures: Mapping[TextureImage, str]) -> None:
    """Write the stage; `pictures` maps each picture to its file."""
    file.write(_HEAD.encode())
    uses = {use: f"Look_{n}" for n, use in enumerate(dict.fromkeys(map(_use, scene.parts)), 1)}
    _line(file, '    def Scope "Looks"\n    {')
    for use, name in uses.items():
        file.write(material_text(use, name, f"{_LOOKS}/{name}", pictures))
    _line(file, "    }")
    for number, part in enumerate(scene.parts, 1):
        _write_part(file, part, f"Part_{number}", f"{_LOOKS}/{uses[_use(part)]}")
    _line(file, "}")


def _use(part: Part) -> Use:
    """Return a part's material and attributes; a preview surface cannot test for attributes."""
    return Use(part.material, has_places=part.uv is not None, has_colors=part.colors is not None)


def _write_part(file: IO[bytes], part: Part, name: str, look: str) -> None:
    low, high = part.points.min(axis=0), part.points.max(axis=0)
    _line(file, f'    def Mesh "{name}" (\n        prepend apiSchemas = ["MaterialBindingAPI"]')
    _line(file, "    )\n    {")
    if part.material.is_double_sided:
        _line(file, "        uniform bool doubleSided = 1")
    _array(file, "float3[] extent", np.stack([low, high]))
    _array(file, "int[] faceVertexCounts", np.full((len(part.triangles), 1), 3))
    _array(file, "int[] faceVertexIndices", part.triangles.reshape(-1, 1))
    _line(file, f"        rel material:binding = <{look}>")
    _array(file, "point3f[] points", part.points)
    if part.normals is not None:
        _array(file, "normal3f[] normals", part.normals, per_vertex=True)
    if part.uv is not None:
        _array(file, "texCoord2f[] primvars:st", part.uv, per_vertex=True)
    if part.colors is not None:
        colors = part.colors[:, :3] * np.array(part.material.color[:3], np.float32)
        _array(file, "color3f[] primvars:displayColor", colors, per_vertex=True)
    # Subdivision would round off hard edges.
    _line(file, '        uniform token subdivisionScheme = "none"\n    }')


def _array(file: IO[bytes], name: str, values: Floats | Ints, *, per_vertex: bool = False) -> None:
    file.write(f"        {name} = [".encode())
    write_rows(file, _TUPLES[values.shape[1]], values[:-1])
    write_rows(file, _TUPLES[values.shape[1]].removesuffix(", "), values[-1:])
    _line(file, '] (interpolation = "vertex")' if per_vertex else "]")


def _line(file: IO[bytes], text: str) -> None:
    file.write(f"{text}\n".encode())
