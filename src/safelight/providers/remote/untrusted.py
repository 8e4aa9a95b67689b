"""Reads JSON of unknown shape: the documents that vendors send."""

import json
import math
from typing import Any, cast

import orjson


def parse(data: bytes | bytearray | str) -> object:
    """Return `data` as JSON, or None if it is not JSON.

    A response may be paid for, so what other readers take is taken: a byte order mark, control
    characters, broken UTF-8 and lone surrogates (replaced), and NaN and infinities (null).
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        text = data if isinstance(data, str) else data.decode("utf-8-sig", errors="replace")
    try:
        value = json.loads(text, strict=False, parse_constant=_null, parse_float=_finite)
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None


def is_object(value: object) -> bool:
    return isinstance(value, dict)


def as_list(value: object) -> list[Any]:
    """Return `value` if it is a JSON array, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def _null(text: str) -> None:
    del text


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None
