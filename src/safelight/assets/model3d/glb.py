"""Opens a binary glTF 2.0 that is what it says: its description with types, and its buffers.

Container layout: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#glb-file-format-specification
"""

import base64
import binascii
import struct
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from safelight.assets.model3d import extensions
from safelight.assets.model3d.bounds import check_data
from safelight.assets.model3d.describe import describe
from safelight.assets.model3d.document import Document
from safelight.assets.model3d.facts import ModelRules
from safelight.assets.model3d.parts import check_parts
from safelight.assets.model3d.tree import check_nodes
from safelight.errors import MediaEmpty, MediaTruncated, MediaUnsupported

_HEADER = struct.Struct("<4sII")
_CHUNK = struct.Struct("<I4s")
_START = _HEADER.size + _CHUNK.size
_VERSION = 2
_MAX_JSON = 16 * 2**20  # an empty list of two bytes grows to thirty times that in memory


@dataclass(frozen=True, slots=True)
class Glb:
    """A file that is what it says: all that it refers to is there and inside its bounds.

    A buffer that an extension fills has no bytes. `is_packed` tells that an extension which
    Safelight cannot read is needed to see the model.
    """

    document: Document
    buffers: tuple[memoryview, ...]
    is_packed: bool

    def view(self, index: int) -> memoryview:
        """Return the bytes of a buffer view."""
        view = self.document.buffer_views[index]
        return self.buffers[view.buffer][view.byte_offset : view.byte_offset + view.byte_length]

    def image(self, index: int) -> bytes:
        """Return the file of an image."""
        image = self.document.images[index]
        return _data_of(image.uri) if image.uri else bytes(self.view(image.buffer_view or 0))


def open_glb(path: Path, rules: ModelRules) -> Glb:
    """Return the checked file; no vertex and no texture has been decoded yet.

    Raises `MediaEmpty`, `MediaTruncated`, `MediaUnsupported` or `MediaError`.
    """
    whole = memoryview(path.read_bytes())
    if not whole:
        raise MediaEmpty
    text, binary = _chunks(whole)
    document = describe(text, rules)
    is_packed = extensions.check(document)
    buffers = tuple(_buffers(document, binary))
    check_data(document, [len(data) for data in buffers], is_packed=is_packed)
    check_parts(document, is_packed=is_packed)
    check_nodes(document, rules)
    return Glb(document, buffers, is_packed)


def _chunks(whole: memoryview) -> tuple[bytes, memoryview]:
    """Return the JSON, and the binary chunk, which may be empty."""
    size = len(whole)
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


def _binary(rest: memoryview) -> memoryview:
    if not rest:
        return rest
    if len(rest) < _CHUNK.size:
        raise MediaTruncated("The 3D file ends within a chunk's header.")
    length, kind = _CHUNK.unpack_from(rest)
    if length > len(rest) - _CHUNK.size:
        raise MediaTruncated("The 3D file ends within a chunk.")
    return rest[_CHUNK.size : _CHUNK.size + (length if kind == b"BIN\0" else 0)]


def _buffers(document: Document, binary: memoryview) -> Generator[memoryview]:
    for index, buffer in enumerate(document.buffers):
        if buffer.uri:
            yield memoryview(_data_of(buffer.uri))
        else:
            yield binary[: buffer.byte_length] if index == 0 else memoryview(b"")


def _data_of(address: str) -> bytes:
    head, _, body = address.partition(",")
    if not head.endswith(";base64"):
        raise MediaUnsupported("The 3D file holds data that is not in base64.")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        raise MediaTruncated("The 3D file holds damaged base64.") from None
