"""Field types of request bodies: values that every database and JSON reader supports. Pure."""

import re
import unicodedata
from datetime import datetime
from typing import Annotated

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from safelight.json_object import JsonObject

STRICT = ConfigDict(extra="forbid", strict=True)
"""For JSON bodies: a field takes what its schema says, without conversion."""

MAX_URL = 4_096
MAX_METADATA_BYTES = 16_384
_BREAKING = frozenset({"Cc", "Zl", "Zp"})
_FIRST_YEAR, _LAST_YEAR = 1970, 2999
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def storable(text: str) -> str:
    """Reject NUL and lone surrogates, which databases and UTF-8 files cannot store."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("must not contain NUL or unpaired surrogates")
    return text


def one_line(text: str) -> str:
    """Reject line breaks and other control characters, which could end a header or log line."""
    if not text.strip() or any(unicodedata.category(letter) in _BREAKING for letter in text):
        raise ValueError("must be one line of text, without control characters")
    return storable(text)


def _storable_tree(value: JsonObject) -> JsonObject:
    try:
        encoded = orjson.dumps(value)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise ValueError("must be plain JSON with 64-bit integers") from error
    if len(encoded) > MAX_METADATA_BYTES:
        raise ValueError(f"must not exceed {MAX_METADATA_BYTES} bytes as JSON")
    if _ESCAPED_NUL.search(encoded):
        raise ValueError("must not contain NUL")
    return orjson.loads(encoded)  # values outside JSON, such as NaN, have become null


def _textual(time: object) -> object:
    """Refuse numbers, which pydantic takes for seconds since 1970."""
    if not isinstance(time, datetime | str) or (isinstance(time, str) and ":" not in time):
        raise ValueError("must be a time as in RFC 3339")
    return time


def _sensible(time: datetime) -> datetime:
    """Reject times that are not representable in every time zone."""
    if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
        raise ValueError(f"must lie between {_FIRST_YEAR} and {_LAST_YEAR}")
    return time


Text = Annotated[str, AfterValidator(storable)]
Name = Annotated[str, StringConstraints(max_length=255), AfterValidator(storable)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(one_line)]
Tag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
    AfterValidator(storable),
]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # supported by every database and JSON reader
Time = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(_textual), AfterValidator(_sensible)
]
Tree = Annotated[JsonObject, AfterValidator(_storable_tree)]
Caption = Annotated[str, StringConstraints(max_length=4_000), AfterValidator(storable)]
Tags = Annotated[list[Tag], Field(max_length=32)]
Url = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_URL),
    AfterValidator(storable),
]
