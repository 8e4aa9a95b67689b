"""Serves one stored object: immutable, with ranges, never executed by a browser."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from safelight.assets.keys import FOREVER
from safelight.storage.errors import StorageFailed
from safelight.storage.storage import Storage, Stored
from safelight.web.errors import RangeNotSatisfiable
from safelight.web.files.conditions import has_it

T = TypeVar("T")

_ANSWER_S = 4.0  # until the response begins
# Bytes, fewer than storage reads at once; smaller objects are sent whole: a stream costs a task.
_AT_ONCE = 2**20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class Shown:
    """A response body; `varies` if the response depends on `Accept`."""

    key: str
    media_type: str
    name: str
    is_download: bool = False
    varies: bool = False
    cache_control: str = FOREVER


async def serve(request: Request, storage: Storage, shown: Shown) -> Response:
    """Respond to GET or HEAD with 200, 206 or 304; raise `NotFound`."""
    until = asyncio.get_running_loop().time() + _ANSWER_S
    stored = await _soon(storage.head(shown.key), until)
    etag = f'"{stored.etag}"'
    headers = _headers(shown) | {"ETag": etag}
    if has_it(request, etag):
        return Response(status_code=304, headers=headers)
    start, end = 0, stored.bytes
    status = 200
    asked = request.headers.get("range")
    if asked and request.headers.get("if-range", etag) == etag:
        span = _parse_range(asked, stored)
        if span is not None:
            start, end = span
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.bytes}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=shown.media_type)
    body = storage.read(shown.key, start=start, end=end)
    # Storage that hangs is noticed before the response begins.
    first = await _soon(anext(body, b""), until)
    if end - start <= _AT_ONCE:
        return Response(first, status, headers, shown.media_type)
    return StreamingResponse(_joined(first, body), status, headers, shown.media_type)


async def _soon(answer: Awaitable[T], until: float) -> T:
    """Return the storage's answer; raise `StorageFailed` if it takes too long."""
    try:
        async with asyncio.timeout_at(until):
            return await answer
    except TimeoutError:
        raise StorageFailed(f"The file store gave no answer within {_ANSWER_S:g} s.") from None


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _headers(shown: Shown) -> dict[str, str]:
    kind = "attachment" if shown.is_download else "inline"
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": shown.cache_control,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Access-Control-Allow-Origin": "*",  # 3D viewers fetch it across origins
        "Content-Disposition": f'{kind}; filename="{shown.name}"',
        **({"Vary": "Accept"} if shown.varies else {}),
    }


def _parse_range(header: str, stored: Stored) -> tuple[int, int] | None:
    """Return the requested range (RFC 9110, 14.2); None for forms that may be ignored."""
    found = _RANGE.fullmatch(header.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(stored.bytes - int(last), 0), stored.bytes
    else:
        start = int(first)
        end = min(int(last) + 1, stored.bytes) if last else stored.bytes
        if last and int(last) < start:
            return None
    if start >= stored.bytes or start >= end:
        raise RangeNotSatisfiable(f"The file has {stored.bytes} bytes.")
    return start, end
