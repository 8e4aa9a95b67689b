"""Compresses JSON, HTML, scripts and styles by zstd, Brotli or gzip, as the caller accepts."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# Brotli has no types.

import sys
import zlib
from collections.abc import Callable
from typing import Protocol, cast

import brotli
from starlette.datastructures import Headers
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, IdentityResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEAST_BYTES = 500  # below it, headers outweigh the savings
_LEVEL = 4  # of each coding: quick, and most of the savings
# Event streams too: each small event is wanted at once, and some proxies hold compressed ones.
_EXCLUDED = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/octet-stream", "application/x-tar")


class Compression:
    """Compresses the responses of `app`, but for stored files and parts of files."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and not scope["path"].startswith("/files/"):
            headers = Headers(scope=scope)
            if "range" not in headers:
                app = _responder(app, ",".join(headers.getlist("accept-encoding")))
        await app(scope, receive, send)


class _Responder(IdentityResponder):
    """Compresses one response."""

    def __init__(self, app: ASGIApp, coding: str, encode: "_Encode") -> None:
        super().__init__(app, _LEAST_BYTES, exclude_content_types=_EXCLUDED)
        self.content_encoding = coding
        self._encode = encode

    async def send_with_compression(self, message: Message) -> None:
        # An empty piece may compress to nothing, which would pass for a body left as it was.
        if message.get("body") != b"" or not message.get("more_body"):
            await super().send_with_compression(message)

    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        return self._encode(body, more_body)


_Encode = Callable[[bytes, bool], bytes]  # the next piece of a body, and whether more follow


def _zstd() -> _Encode:
    made = zstd.ZstdCompressor(_LEVEL)
    return lambda body, more: made.compress(body, made.FLUSH_BLOCK if more else made.FLUSH_FRAME)


class _Brotli(Protocol):
    def process(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...
    def finish(self) -> bytes: ...


def _brotli() -> _Encode:
    made = cast("_Brotli", brotli.Compressor(quality=_LEVEL))
    return lambda body, more: made.process(body) + (made.flush() if more else made.finish())


def _gzip() -> _Encode:
    made = zlib.compressobj(_LEVEL, wbits=zlib.MAX_WBITS | 16)
    end = {True: zlib.Z_SYNC_FLUSH, False: zlib.Z_FINISH}
    return lambda body, more: made.compress(body) + made.flush(end[more])


_CODINGS = {"zstd": _zstd, "br": _brotli, "gzip": _gzip}  # the best first


def _responder(app: ASGIApp, accepted: str) -> ASGIApp:
    """Return `app` behind the best coding that `accepted`, an Accept-Encoding header, allows."""
    weights = dict(map(_weighed, accepted.lower().split(",")))
    for coding, encoder in _CODINGS.items():
        if weights.get(coding, weights.get("*", 0.0)) > 0:
            return _Responder(app, coding, encoder())
    return IdentityResponder(app, _LEAST_BYTES, exclude_content_types=_EXCLUDED)


def _weighed(item: str) -> tuple[str, float]:
    """Return a coding and its weight (RFC 9110, 12.4.2), 0 if that is no number."""
    name, _, weight = item.partition(";")
    try:
        return name.strip(), float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        return name.strip(), 0.0
