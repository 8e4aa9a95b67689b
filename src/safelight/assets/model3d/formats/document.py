"""A binary glTF taken apart: its description, and the bytes that it points at.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, sections 3.6 (buffers) and 4 (container)
"""

import base64
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from safelight.errors import MediaTruncated, MediaUnsupported

Json: TypeAlias = dict[str, Any]

_HEADER = struct.Struct("<4sII")
_CHUNK = struct.Struct("<I4s")
_DESCRIPTION, _BINARY = b"JSON", b"BIN\0"
_DATA_URI = "data:"

# What a file may insist on: the first are followed, the others change what no other format has.
_FOLLOWED = frozenset({"KHR_texture_transform", "KHR_mesh_quantization", "EXT_texture_webp"})
_LEFT_OUT = ("KHR_materials_", "KHR_lights_", "KHR_animation_", "KHR_xmp")


@dataclass(slots=True)
class Document:
    """The description as JSON, and the binary chunk."""

    json: Json
    binary: bytes
    _decoded: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def items(self, name: str) -> list[Json]:
        """Return one of the description's lists, such as its nodes."""
        return self.json.get(name, [])

    def item(self, name: str, index: int) -> Json:
        """Return one entry of a list; a LookupError if there is none."""
        return self.items(name)[index]

    def view(self, index: int) -> memoryview:
        """Return the bytes of a buffer view."""
        view = self.item("bufferViews", index)
        start = int(view.get("byteOffset", 0))
        end = start + int(view["byteLength"])
        buffer = self._buffer(view["buffer"])
        if not 0 <= start <= end <= len(buffer):
            raise MediaTruncated("The 3D file ends before its data does.")
        return memoryview(buffer)[start:end]

    def _buffer(self, index: int) -> bytes:
        uri = self.item("buffers", index).get("uri")
        if uri is None:
            if index:
                raise MediaUnsupported("The 3D model is compressed in a way that is not supported.")
            return self.binary
        if index not in self._decoded:
            self._decoded[index] = from_data_uri(uri)
        return self._decoded[index]


def read_document(path: Path) -> Document:
    """Return the file's parts; raise `MediaUnsupported` if it needs what is not known here."""
    data = path.read_bytes()
    chunks = _chunks(data)
    document = Document(orjson.loads(chunks[_DESCRIPTION]), chunks.get(_BINARY, b""))
    needed = [name for name in document.json.get("extensionsRequired", []) if not _is_known(name)]
    if needed:
        raise MediaUnsupported(f"The 3D model needs {', '.join(needed)}, which is not supported.")
    return document


def from_data_uri(uri: str) -> bytes:
    """Return what an address holds in itself; raise `MediaUnsupported` for any other address."""
    head, comma, text = uri.partition(",")
    if not (head.startswith(_DATA_URI) and head.endswith(";base64") and comma):
        raise MediaUnsupported("The 3D file refers to other files.")
    return base64.b64decode(text)


def _chunks(data: bytes) -> dict[bytes, bytes]:
    magic, version, _ = _HEADER.unpack_from(data)
    if magic != b"glTF" or version != 2:  # noqa: PLR2004
        raise MediaUnsupported("The file is not a binary glTF 2.0.")
    found: dict[bytes, bytes] = {}
    at = _HEADER.size
    while at < len(data):
        length, kind = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        found.setdefault(kind, data[at : at + length])
        at += length
    return found


def _is_known(extension: str) -> bool:
    return extension in _FOLLOWED or extension.startswith(_LEFT_OUT)
