"""Splits a binary glTF 2.0 container into its JSON and its binary chunk.

Layout: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#glb-file-format-specification
"""

import base64
import binascii
import struct

from safelight.media.errors import MediaEmpty, MediaTruncated, MediaUnsupported

_HEADER = struct.Struct("<4sII")
_CHUNK = struct.Struct("<I4s")
_START = _HEADER.size + _CHUNK.size
_VERSION = 2
_MAX_JSON = 16 * 2**20  # parsing can expand it thirtyfold: an empty list takes two bytes


def open_container(whole: memoryview) -> tuple[bytes, memoryview]:
    """Return the JSON, and the binary chunk, which may be empty.

    Raises `MediaEmpty`, `MediaTruncated` or `MediaUnsupported`.
    """
    size = len(whole)
    if not size:
        raise MediaEmpty
    if size < _START:
        raise MediaTruncated("The 3D file ends within its header.")
    magic, version, length = _HEADER.unpack_from(whole)
    json_length, kind = _CHUNK.unpack_from(whole, _HEADER.size)
    if magic != b"glTF" or version != _VERSION or kind != b"JSON":
        raise MediaUnsupported("The file is not a binary glTF 2.0.")
    end = _START + json_length
    if length != size or end > size:
        raise MediaTruncated("The 3D file's length is not what its header says.")
    if json_length > _MAX_JSON:
        raise MediaUnsupported(f"The 3D file's description is longer than {_MAX_JSON} bytes.")
    return bytes(whole[_START:end]), _binary(whole[end:])


def data_of(address: str) -> bytes:
    """Return the content of a `data:` URI; raise `MediaError` for any other URI."""
    head, _, body = address.partition(",")
    if not head.startswith("data:"):
        raise MediaUnsupported("The 3D file refers to other files.")
    if not head.endswith(";base64"):
        raise MediaUnsupported("The 3D file holds data that is not in base64.")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        raise MediaTruncated("The 3D file holds damaged base64.") from None


def _binary(rest: memoryview) -> memoryview:
    if not rest:
        return rest
    if len(rest) < _CHUNK.size:
        raise MediaTruncated("The 3D file ends within a chunk's header.")
    length, kind = _CHUNK.unpack_from(rest)
    if length > len(rest) - _CHUNK.size:
        raise MediaTruncated("The 3D file ends within a chunk.")
    return rest[_CHUNK.size : _CHUNK.size + (length if kind == b"BIN\0" else 0)]
