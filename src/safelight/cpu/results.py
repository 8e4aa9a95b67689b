"""Results of children as JSON and bytes, validated by the function's own return type.

A child may have been taken over by the file that it decoded. So nothing that it sends is
unpickled, and no path is accepted that lies outside the folders it may write. A message is the
length of its JSON, the JSON, and the bytes in the result, in the order in which it names them.
"""

import dataclasses
import functools
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_type_hints

from pydantic import TypeAdapter

from safelight.json_object import JsonObject

_LENGTH = struct.Struct(">I")
_BYTES = "$bytes"  # the only key of an object that stands for as many bytes


def encode(value: object) -> bytes:
    """Return the message of a result; raise `TypeError` for values other than data."""
    blobs: list[bytes] = []

    def plain(value: object) -> object:
        if isinstance(value, bytes):
            blobs.append(value)
            return {_BYTES: len(value)}
        return _plain(value)

    text = json.dumps(value, default=plain).encode()
    return b"".join((_LENGTH.pack(len(text)), text, *blobs))


def decode(function: Callable[..., object], data: bytes, folders: Iterable[Path]) -> Any:
    """Return the result of `function`; raise `ValueError` if it is not of its return type.

    Every path in it must lie in one of `folders`. Other errors of a malformed message are
    `LookupError`, `TypeError` and `RecursionError`.
    """
    value = _adapter(_return_type(function)).validate_python(_parse(data))
    places = [folder.resolve() for folder in folders]
    for path in _paths(value):
        if not any(path.resolve().is_relative_to(place) for place in places):
            raise ValueError("A child named a file that it may not write.")
    return value


def _parse(data: bytes) -> object:
    """Return the JSON value of a message with its bytes; none is used twice."""
    start = _LENGTH.size + int.from_bytes(data[: _LENGTH.size])

    def whole(found: JsonObject) -> object:
        nonlocal start
        if found.keys() != {_BYTES}:
            return found
        begin, start = start, start + found[_BYTES]
        if not begin <= start <= len(data):
            raise ValueError("A child named bytes that it did not send.")
        return data[begin:start]

    return json.loads(data[_LENGTH.size : start], object_hook=whole)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"A {type(value).__name__} is no result of a child.")


def _return_type(function: Callable[..., object]) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return get_type_hints(function)["return"]


@functools.lru_cache(maxsize=64)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _paths(value: object) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            yield from _paths(getattr(value, each.name))
    elif isinstance(value, Mapping):
        for one in cast("Mapping[object, object]", value).values():
            yield from _paths(one)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for one in cast("Sequence[object]", value):
            yield from _paths(one)
