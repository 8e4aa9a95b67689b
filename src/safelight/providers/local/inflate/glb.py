"""Writes a mesh as a single-file binary glTF 2.0.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, sections 3.6 (buffers), 3.9 (materials)
and 4 (the container).
"""

import json
import struct
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from safelight.json_object import JsonObject
from safelight.providers.local.inflate.mesh import Mesh

_FLOAT, _UNSIGNED_INT, _UNSIGNED_SHORT = 5126, 5125, 5123
_ARRAY, _ELEMENTS = 34962, 34963
_LINEAR, _LINEAR_MIPMAP, _CLAMP = 9729, 9987, 33071
_SHORT_MAX = 65_535  # the highest short is the restart value, not an index
_ROUGHNESS = 0.75
_GENERATOR = "Safelight inflate"


@dataclass(frozen=True, slots=True)
class Look:
    """The surface: a JPEG texture, or one color (sRGB, 0 to 1)."""

    color: tuple[float, float, float]
    jpeg: bytes | None = None


@dataclass(slots=True)
class _Binary:
    """The buffer, and the views and accessors that describe it."""

    data: bytearray = field(default_factory=bytearray)
    views: list[JsonObject] = field(default_factory=list[JsonObject])
    accessors: list[JsonObject] = field(default_factory=list[JsonObject])

    def view(self, data: bytes, target: int | None = None) -> int:
        self.data += bytes(-len(self.data) % 4)
        place = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        self.views.append(place if target is None else place | {"target": target})
        self.data += data
        return len(self.views) - 1

    def vectors(self, values: npt.NDArray[np.float32], *, bounds: bool = False) -> int:
        accessor: JsonObject = {
            "bufferView": self.view(values.astype("<f4").tobytes(), _ARRAY),
            "componentType": _FLOAT,
            "count": len(values),
            "type": f"VEC{values.shape[1]}",
        }
        if bounds:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        return self._add(accessor)

    def indices(self, values: npt.NDArray[np.int64]) -> int:
        short = int(values.max()) < _SHORT_MAX
        data = values.astype("<u2" if short else "<u4").tobytes()
        accessor: JsonObject = {
            "bufferView": self.view(data, _ELEMENTS),
            "componentType": _UNSIGNED_SHORT if short else _UNSIGNED_INT,
            "count": values.size,
            "type": "SCALAR",
        }
        return self._add(accessor)

    def _add(self, accessor: JsonObject) -> int:
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def to_glb(mesh: Mesh, look: Look, name: str) -> bytes:
    """Return the file. The same mesh, look and name always give the same bytes."""
    binary = _Binary()
    attributes = {
        "POSITION": binary.vectors(mesh.vertices, bounds=True),
        "NORMAL": binary.vectors(mesh.normals),
    }
    if look.jpeg is not None:
        attributes["TEXCOORD_0"] = binary.vectors(mesh.texture_places)
    primitive = {"attributes": attributes, "indices": binary.indices(mesh.triangles), "material": 0}
    document: JsonObject = {
        "asset": {"version": "2.0", "generator": _GENERATOR},
        "scene": 0,
        "scenes": [{"name": name, "nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0}],
        "meshes": [{"name": name, "primitives": [primitive]}],
        "materials": [_material(look)],
        **_images(look, binary),
        "accessors": binary.accessors,
        "bufferViews": binary.views,
    }
    binary.data += bytes(-len(binary.data) % 4)
    document["buffers"] = [{"byteLength": len(binary.data)}]
    return _container(document, bytes(binary.data))


def _material(look: Look) -> JsonObject:
    surface: JsonObject = {"metallicFactor": 0, "roughnessFactor": _ROUGHNESS}
    if look.jpeg is not None:
        surface["baseColorTexture"] = {"index": 0}
    else:
        surface["baseColorFactor"] = [*(_linear(part) for part in look.color), 1]
    return {"name": "surface", "pbrMetallicRoughness": surface}


def _images(look: Look, binary: _Binary) -> JsonObject:
    if look.jpeg is None:
        return {}
    image = {"name": "picture", "mimeType": "image/jpeg", "bufferView": binary.view(look.jpeg)}
    sampler = {
        "magFilter": _LINEAR,
        "minFilter": _LINEAR_MIPMAP,
        "wrapS": _CLAMP,
        "wrapT": _CLAMP,
    }
    return {
        "images": [image],
        "samplers": [sampler],
        "textures": [{"name": "picture", "source": 0, "sampler": 0}],
    }


def _linear(part: float) -> float:
    """Return an sRGB component as linear light (IEC 61966-2-1), as glTF factors need it."""
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4  # noqa: PLR2004


def _container(document: JsonObject, data: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    length = 12 + 8 + len(text) + 8 + len(data)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, length),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(data), b"BIN\0"),
            data,
        ]
    )
