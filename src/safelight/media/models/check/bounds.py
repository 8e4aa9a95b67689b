"""Checks that all data of a glTF lies within its buffers, views and accessors, and is aligned.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html, section 3.6 (buffers to accessors).
"""

from collections.abc import Sequence
from typing import TypeVar

from safelight.media.errors import MediaTruncated
from safelight.media.models.check.document import Accessor, Document, Sparse, View

T = TypeVar("T")

_ITEM_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


def check_data(document: Document, available: Sequence[int], *, is_packed: bool) -> None:
    """Raise `MediaTruncated` if data lies out of bounds; `available` are buffer sizes in bytes.

    If the model `is_packed`, a buffer that its extension fills may be absent.
    """
    for index, buffer in enumerate(document.buffers):
        if available[index] < buffer.byte_length and not (is_packed and available[index] == 0):
            raise MediaTruncated(f"Buffer {index} of the 3D file is shorter than it says.")
    for index, view in enumerate(document.buffer_views):
        buffer = part(document.buffers, view.buffer, f"buffer view {index}")
        if view.byte_offset + view.byte_length > buffer.byte_length:
            raise MediaTruncated(f"Buffer view {index} of the 3D file lies outside its buffer.")
    for index, accessor in enumerate(document.accessors):
        _check_accessor(document, accessor, f"accessor {index}")


def part(parts: Sequence[T], index: int, whose: str) -> T:
    """Return `parts[index]`; raise `MediaTruncated` if there is none."""
    if index >= len(parts):
        raise MediaTruncated(f"The 3D file's {whose} refers to what is not there.")
    return parts[index]


def _check_accessor(document: Document, accessor: Accessor, name: str) -> None:
    size = _ITEM_BYTES[accessor.component_type]
    row = size * _WIDTHS[accessor.type]
    if accessor.buffer_view is not None:
        view = part(document.buffer_views, accessor.buffer_view, name)
        stride = view.byte_stride or row
        if stride < row or stride % size:
            raise MediaTruncated(f"The 3D file's {name} has a stride that does not fit.")
        span = (accessor.count - 1) * stride + row
        _check_span(view, accessor.byte_offset, span, size, name)
    if accessor.sparse is not None:
        _check_sparse(document, accessor, accessor.sparse, name)


def _check_sparse(document: Document, accessor: Accessor, sparse: Sparse, name: str) -> None:
    if sparse.count > accessor.count:
        raise MediaTruncated(f"The 3D file's {name} replaces more than there is.")
    wide, size = _ITEM_BYTES[sparse.indices.component_type], _ITEM_BYTES[accessor.component_type]
    places = part(document.buffer_views, sparse.indices.buffer_view, name)
    _check_span(places, sparse.indices.byte_offset, sparse.count * wide, wide, name)
    values = part(document.buffer_views, sparse.values.buffer_view, name)
    span = sparse.count * size * _WIDTHS[accessor.type]
    _check_span(values, sparse.values.byte_offset, span, size, name)


def _check_span(view: View, offset: int, span: int, size: int, name: str) -> None:
    if offset + span > view.byte_length:
        raise MediaTruncated(f"The 3D file's {name} lies outside its buffer view.")
    if (view.byte_offset + offset) % size:
        raise MediaTruncated(f"The 3D file's {name} is not aligned.")
