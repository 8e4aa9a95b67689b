"""Opens and validates a binary glTF 2.0: its typed JSON, and its buffers."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from safelight.media.errors import reading
from safelight.media.models.check import extensions
from safelight.media.models.check.bounds import check_data
from safelight.media.models.check.container import data_of, open_container
from safelight.media.models.check.describe import describe
from safelight.media.models.check.document import Document
from safelight.media.models.check.facts import ModelRules
from safelight.media.models.check.parts import check_parts
from safelight.media.models.check.tree import check_nodes


@dataclass(frozen=True, slots=True)
class Glb:
    """A validated file: every reference resolves and lies within bounds.

    A buffer that an extension fills is empty. `is_packed` is true if showing the model requires an
    extension that Safelight cannot read.
    """

    document: Document
    buffers: tuple[memoryview, ...]
    is_packed: bool

    def view(self, index: int) -> memoryview:
        """Return the bytes of a buffer view."""
        view = self.document.buffer_views[index]
        return self.buffers[view.buffer][view.byte_offset : view.byte_offset + view.byte_length]

    def image(self, index: int) -> bytes:
        """Return an image's encoded bytes."""
        image = self.document.images[index]
        return data_of(image.uri) if image.uri else bytes(self.view(image.buffer_view or 0))


@reading()
def open_glb(path: Path, rules: ModelRules) -> Glb:
    """Return the validated file, with no vertex or texture decoded yet.

    Raises `MediaEmpty`, `MediaTruncated`, `MediaUnsupported` or `MediaError`.
    """
    text, binary = open_container(memoryview(path.read_bytes()))
    document = describe(text, rules)
    is_packed = extensions.check(document)
    buffers = tuple(_buffers(document, binary))
    check_data(document, [len(data) for data in buffers], is_packed=is_packed)
    check_parts(document, is_packed=is_packed)
    check_nodes(document, rules)
    return Glb(document, buffers, is_packed)


def _buffers(document: Document, binary: memoryview) -> Generator[memoryview]:
    for index, buffer in enumerate(document.buffers):
        if buffer.uri:
            yield memoryview(data_of(buffer.uri))
        else:
            yield binary[: buffer.byte_length] if index == 0 else memoryview(b"")
