"""Checks that a file is a self-contained binary glTF 2.0 before anybody else opens it.

Container layout: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#glb-file-format-specification
"""

import struct
from pathlib import Path

import orjson

from safelight.errors import MediaEmpty, MediaTruncated, MediaUnsupported

MEDIA_TYPE = "model/gltf-binary"

_HEADER = struct.Struct("<4sII")
_CHUNK = struct.Struct("<I4s")
_VERSION = 2
_MAX_JSON = 64 * 2**20


def check(path: Path) -> None:
    """Raise `MediaError` unless the file is whole, of version 2 and refers to nothing outside."""
    size = path.stat().st_size
    if size == 0:
        raise MediaEmpty
    with path.open("rb") as file:
        head = file.read(_HEADER.size + _CHUNK.size)
        if len(head) < _HEADER.size + _CHUNK.size:
            raise MediaTruncated("The 3D file ends within its header.")
        magic, version, length = _HEADER.unpack_from(head)
        json_length, kind = _CHUNK.unpack_from(head, _HEADER.size)
        if magic != b"glTF" or version != _VERSION or kind != b"JSON":
            raise MediaUnsupported("The file is not a binary glTF 2.0.")
        if length != size or json_length > min(size, _MAX_JSON):
            raise MediaTruncated("The 3D file's length is not what its header says.")
        _check_references(file.read(json_length))


def _check_references(text: bytes) -> None:
    try:
        document = orjson.loads(text)
        named = [*document.get("buffers", []), *document.get("images", [])]
        addresses = [item.get("uri", "") for item in named]
    except (orjson.JSONDecodeError, AttributeError, TypeError):
        raise MediaTruncated("The 3D file's description is not valid JSON.") from None
    if any(address and not address.startswith("data:") for address in addresses):
        raise MediaUnsupported("The 3D file refers to other files.")
