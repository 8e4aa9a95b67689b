"""Models for tests that say more than one triangle does, made by trimesh or by hand."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image
from trimesh.visual.material import PBRMaterial
from trimesh.visual.texture import TextureVisuals

Floats = npt.NDArray[np.floating[Any]]

PAINT = np.random.default_rng(5).integers(0, 256, (8, 3), np.uint8)
"""The colors of a painted box's corners."""


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def textured(look: PBRMaterial | None = None) -> trimesh.Trimesh:
    """A ball whose texture places lie in the middle of the pixels of a texture of 16 by 8."""
    size = (16, 8)
    mesh = trimesh.creation.icosphere(subdivisions=2)
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, size, (len(mesh.vertices), 2))
    look = look or PBRMaterial(
        name="my skin",
        baseColorTexture=noise(*size),
        metallicFactor=0.0,
        roughnessFactor=0.5,
        doubleSided=True,
    )
    mesh.visual = TextureVisuals(uv=(pixels + 0.5) / size, material=look)
    return mesh


def plain(color: tuple[float, float, float, float]) -> trimesh.Trimesh:
    mesh = trimesh.creation.cylinder(radius=0.3, height=1.2, sections=12)
    look = PBRMaterial(baseColorFactor=color, metallicFactor=1.0, roughnessFactor=0.25)
    mesh.visual = TextureVisuals(material=look)
    return mesh


def painted() -> trimesh.Trimesh:
    return trimesh.Trimesh(
        trimesh.creation.box().vertices,
        trimesh.creation.box().faces,
        vertex_colors=PAINT,
        process=False,
    )


def _placed(x: float, y: float, z: float, *scale: float) -> Floats:
    turn = trimesh.transformations.rotation_matrix(0.7, (1, 2, 3))
    turn[:3, 3] = (x, y, z)
    return turn @ np.diag([*(scale or (1, 1, 1)), 1])


def write_scene(path: Path, model: trimesh.Scene | trimesh.Trimesh) -> None:
    scene = model if isinstance(model, trimesh.Scene) else trimesh.Scene(model)
    data = scene.export(file_type="glb")
    assert isinstance(data, bytes)
    path.write_bytes(data)


def many_materials(path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(textured(), geom_name="ball")
    scene.add_geometry(plain((1, 0.2, 0.2, 1)), geom_name="red", transform=_placed(3, 0, 0))
    scene.add_geometry(painted(), geom_name="box", transform=_placed(0, 3, 1))
    write_scene(path, scene)


def mirrored_instances(path: Path) -> None:
    scene = trimesh.Scene()
    places = [_placed(0, 0, 0), _placed(4, 0, 0, -1, 1, 1), _placed(0, 5, 0, 2, -0.5, 1)]
    for number, place in enumerate(places):
        scene.add_geometry(textured(), f"ball {number}", geom_name="ball", transform=place)
    write_scene(path, scene)


def write_glb(path: Path, description: dict[str, Any], *arrays: npt.NDArray[Any]) -> Path:
    """Write a GLB of one buffer view and one accessor for each array, by hand.

    What stands in `accessors` of the description completes those that are made, by their index.
    """
    kinds = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
    shapes = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
    data, views, accessors = b"", [], []
    for index, array in enumerate(arrays):
        content = array.tobytes()
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": len(content)})
        made = {
            "bufferView": index,
            "componentType": kinds[array.dtype.str[1:]],
            "count": len(array),
            "type": shapes[array.shape[1:]],
        }
        accessors.append(made | description.get("accessors", {}).get(index, {}))
        data += content + bytes(-len(content) % 4)
    document = {
        "asset": {"version": "2.0"},
        "nodes": [{"mesh": 0}],
        **description,
        "buffers": [{"byteLength": len(data)}],
        "bufferViews": views,
        "accessors": accessors,
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(data), b"BIN\0") + data
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
    return path
