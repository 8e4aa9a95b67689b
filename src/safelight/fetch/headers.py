"""Parses response headers: media type, size, file name and Retry-After."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.errors import MessageError
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import cast
from urllib.parse import unquote

Encoded = tuple[str | None, str | None, str]  # charset, language, text

_MAX_NAME = 200
_MAX_TYPE = 100
_MAX_RETRY = timedelta(days=1)
_COMPRESSIONS = frozenset(
    {"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz", "exi"}
)
_UNFIT = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|]+')


def media_type(headers: Mapping[str, str]) -> str:
    """Return the declared type without parameters, in lower case; empty if absent."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()[:_MAX_TYPE]


def content_length(headers: Mapping[str, str]) -> int | None:
    """Return the declared size of the body on the wire, in bytes."""
    text = headers.get("content-length", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None  # noqa: PLR2004


def file_name(headers: Mapping[str, str], path: str) -> str:
    """Return the file name from Content-Disposition, else the last segment of the URL's path.

    It is a label, never a path: separators and control characters are removed.
    """
    name = _disposition_name(headers.get("content-disposition", ""))
    name = name or unquote(path.rpartition("/")[2])
    name = _UNFIT.sub("_", name.rpartition("/")[2]).strip(" .")
    stem, dot, ending = name.rpartition(".")
    if len(name) > _MAX_NAME and dot and len(ending) < 10:  # noqa: PLR2004
        return f"{stem[: _MAX_NAME - len(ending) - 1]}.{ending}"
    return name[:_MAX_NAME]


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return the Retry-After delay (RFC 9110, 10.2.3), at most a day; None if absent or invalid."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004
        return min(timedelta(seconds=int(text)), _MAX_RETRY)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # such as an excessive time zone offset
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(at - now, timedelta()), _MAX_RETRY)


def content_coding(headers: Mapping[str, str]) -> str:
    """Return the compression of the body in lower case, empty if none.

    Words that name no compression (`aws-chunked`, `utf-8`, `none`) are ignored. Several
    compressions are joined by commas.
    """
    words = headers.get("content-encoding", "").lower().split(",")
    return ",".join(word for part in words if (word := part.strip()) in _COMPRESSIONS)


def _disposition_name(value: str) -> str:
    message = Message()
    try:
        message["content-disposition"] = value
        fields = message.get_params([], "content-disposition")
    except (MessageError, ValueError, LookupError):
        return ""
    names: list[object] = [text for name, text in fields if name.lower() == "filename"]
    # `filename*` takes precedence over `filename` (RFC 6266, 4.3), unless it cannot be decoded.
    extended = [_decoded(cast("Encoded", text)) for text in names if isinstance(text, tuple)]
    plain = [text for text in names if isinstance(text, str)]
    return next(filter(None, extended + plain), "")


def _decoded(value: Encoded) -> str:
    """Return the text of a value encoded as in RFC 8187, empty if it cannot be decoded."""
    charset, _, text = value
    try:
        return text.encode("latin-1").decode(charset or "ascii")
    except (UnicodeError, LookupError):
        return ""
