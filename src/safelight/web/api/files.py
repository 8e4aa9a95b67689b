"""Serves the bytes of public objects: immutable, in ranges, and never run by a browser."""

import re

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from safelight.assets.asset import media_type_of
from safelight.errors import NotFound, RangeNotSatisfiable
from safelight.storage.storage import Stored
from safelight.web.auth import Parts

router = APIRouter(tags=["files"])

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_FOREVER = "public, max-age=31536000, immutable"


@router.get("/files/{key:path}", response_class=StreamingResponse)
@router.head("/files/{key:path}", include_in_schema=False)
async def get_file(request: Request, key: str, services: Parts, download: bool = False) -> Response:
    """Return a public object. Its key cannot be guessed; originals are not served here."""
    media_type = media_type_of(key)
    if media_type is None or ".." in key:
        raise NotFound("There is no such file.")
    stored = await services.storage.head(key)
    etag = f'"{stored.etag}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": _FOREVER,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Access-Control-Allow-Origin": "*",  # as public as its address: 3D viewers fetch it
        "Content-Disposition": _disposition(key, download),
    }
    if _matches(request.headers.get("if-none-match"), etag):
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
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(
        services.storage.read(key, start=start, end=end), status, headers, media_type
    )


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    candidates = {candidate.strip().removeprefix("W/") for candidate in header.split(",")}
    return etag in candidates or "*" in candidates


def _parse_range(header: str, stored: Stored) -> tuple[int, int] | None:
    """Return the bytes asked for (RFC 9110, 14.2); None for forms that may be answered in whole."""
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


def _disposition(key: str, download: bool) -> str:
    name = key.rpartition("/")[2]
    return f'{"attachment" if download else "inline"}; filename="{name}"'
