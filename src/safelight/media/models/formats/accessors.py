"""Decodes glTF accessors into arrays, with strides, sparse values and normalized integers.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#accessors
"""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from safelight.json_object import JsonObject
from safelight.media.errors import MediaTruncated, MediaUnsupported
from safelight.media.models.formats.document import Document
from safelight.media.models.formats.scene import Floats, Ints

_Numbers: TypeAlias = npt.NDArray[Any]

_KINDS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_SHAPES = {"SCALAR": (), "VEC2": (2,), "VEC3": (3,), "VEC4": (4,), "MAT4": (4, 4)}
_MOST = 6_000_000  # values: three per triangle of the largest model allowed


def read_floats(document: Document, index: int, *shapes: str) -> Floats:
    """Return an accessor's values as floats; normalized integers become fractions.

    Raises `MediaTruncated` unless they have one of the shapes, such as "VEC3".
    """
    accessor = document.item("accessors", index)
    values = _values(document, accessor, shapes)
    if not accessor.get("normalized") or values.dtype.kind == "f":
        return values.astype(np.float32)
    fractions = values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    return np.maximum(fractions, np.float32(-1))


def read_integers(document: Document, index: int, *shapes: str) -> Ints:
    """Return an accessor's values as integers; raises as `read_floats` does."""
    return _values(document, document.item("accessors", index), shapes).astype(np.int64)


def is_stored(document: Document, index: int) -> bool:
    """Return whether an accessor stores values; those of compressed meshes do not."""
    accessor = document.item("accessors", index)
    return "bufferView" in accessor or "sparse" in accessor


def _values(document: Document, accessor: JsonObject, shapes: tuple[str, ...]) -> _Numbers:
    if accessor["type"] not in shapes:
        raise MediaTruncated("The 3D file has values of a shape that does not fit their use.")
    kind, shape = np.dtype(_KINDS[accessor["componentType"]]), _SHAPES[accessor["type"]]
    count = accessor["count"]
    if count > _MOST:
        raise MediaUnsupported("The 3D model has too many vertices.")
    values = (
        _stored(document, accessor, kind, (count, *shape))
        if "bufferView" in accessor
        else np.zeros((count, *shape), kind)
    )
    if "sparse" not in accessor:
        return values
    sparse, values = accessor["sparse"], values.copy()
    some = sparse["count"]
    places = _stored(
        document, sparse["indices"], np.dtype(_KINDS[sparse["indices"]["componentType"]]), (some,)
    )
    values[places] = _stored(document, sparse["values"], kind, (some, *shape))
    return values


def _stored(
    document: Document, where: JsonObject, kind: np.dtype[Any], shape: tuple[int, ...]
) -> _Numbers:
    """Return the array in a buffer view; a ValueError or TypeError if the view is too short."""
    view = document.item("bufferViews", where["bufferView"])
    size = math.prod(shape[1:]) * kind.itemsize
    inner = (4 * kind.itemsize, kind.itemsize) if len(shape) == 3 else (kind.itemsize,)  # noqa: PLR2004
    return np.ndarray(
        shape,
        kind,
        document.view(where["bufferView"]),
        where.get("byteOffset", 0),
        (view.get("byteStride", size), *inner[: len(shape) - 1]),
    )
