"""Compresses JSON, HTML, scripts and styles by zstd, Brotli or gzip, as the caller accepts."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette_compress import CompressMiddleware, add_compress_type, remove_compress_type

add_compress_type("application/problem+json")
# Small events, each wanted at once; some proxies hold compressed ones back.
remove_compress_type("text/event-stream")


class Compression:
    """Compresses the responses of `app`, but for stored files and parts of files."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._compressed = CompressMiddleware(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_file = scope["type"] == "http" and (
            scope["path"].startswith("/files/") or "range" in Headers(scope=scope)
        )
        app = self._plain if is_file else self._compressed
        await app(scope, receive, send)
