"""A parsed binary glTF: its JSON, and the buffers it refers to.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, section 3.6 (buffers)
"""

from dataclasses import dataclass, field
from pathlib import Path

import orjson

from safelight.json_object import JsonObject
from safelight.media.errors import MediaTruncated, MediaUnsupported
from safelight.media.models.check.container import data_of, open_container

# Extensions that a file may require: the first are applied; the others have no counterpart in the
# target formats and are ignored.
_FOLLOWED = frozenset({"KHR_texture_transform", "KHR_mesh_quantization", "EXT_texture_webp"})
_LEFT_OUT = ("KHR_materials_", "KHR_lights_", "KHR_animation_", "KHR_xmp")


@dataclass(slots=True)
class Document:
    """The JSON and the binary chunk."""

    json: JsonObject
    binary: memoryview
    _decoded: dict[int, memoryview] = field(default_factory=dict[int, memoryview])

    def items(self, name: str) -> list[JsonObject]:
        """Return one of the top-level lists, such as nodes."""
        return self.json.get(name, [])

    def item(self, name: str, index: int) -> JsonObject:
        """Return one entry of a list; raises LookupError if there is none."""
        return self.items(name)[index]

    def view(self, index: int) -> memoryview:
        """Return the bytes of a buffer view."""
        view = self.item("bufferViews", index)
        start = int(view.get("byteOffset", 0))
        end = start + int(view["byteLength"])
        buffer = self._buffer(view["buffer"])
        if not 0 <= start <= end <= len(buffer):
            raise MediaTruncated("The 3D file ends before its data does.")
        return buffer[start:end]

    def _buffer(self, index: int) -> memoryview:
        uri = self.item("buffers", index).get("uri")
        if uri is None:
            if index:
                raise MediaUnsupported("The 3D model is compressed in a way that is not supported.")
            return self.binary
        if index not in self._decoded:
            self._decoded[index] = memoryview(data_of(uri))
        return self._decoded[index]


def read_document(path: Path) -> Document:
    """Return the parsed file; raise `MediaUnsupported` if it requires an unknown extension."""
    text, binary = open_container(memoryview(path.read_bytes()))
    document = Document(orjson.loads(text), binary)
    needed = [name for name in document.json.get("extensionsRequired", []) if not _is_known(name)]
    if needed:
        raise MediaUnsupported(f"The 3D model needs {', '.join(needed)}, which is not supported.")
    return document


def _is_known(extension: str) -> bool:
    return extension in _FOLLOWED or extension.startswith(_LEFT_OUT)
