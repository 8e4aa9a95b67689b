"""Another server on this machine that sends pictures, and everything that is not one."""

import asyncio
from typing import Self

from tests import pictures

_OK = "200 OK"


class Origin:
    """A raw HTTP server whose paths each misbehave in their own way."""

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            await self._answer(request.split()[1].decode(), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the other side has heard enough
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/endless.png":
            await self._endless(writer, b"\x89PNG\r\n\x1a\n" + bytes(65536), 0.0)
        elif path == "/drip.png":
            await self._endless(writer, b"\x89", 0.05)
        else:
            status, headers, body = self._canned(path)
            lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
            writer.write("\r\n".join([*lines, *headers, "", ""]).encode() + body)
            await writer.drain()

    def _canned(self, path: str) -> tuple[str, list[str], bytes]:
        redirects = {
            "/to-metadata": "http://169.254.169.254/latest/meta-data",
            "/to-file": "file:///etc/passwd",
            "/loop": f"{self.url}/loop",
        }
        bodies = {
            "/page.html": b"<!doctype html><title>Not a picture</title>",
            "/page-named.png": b"<!doctype html><title>Not a picture</title>",
            "/empty.png": b"",
            "/truncated.jpg": pictures.truncated(pictures.picture("jpeg", 640, 480)),
            "/animated.gif": pictures.animation("gif"),
            "/cmyk.jpg": pictures.cmyk_jpeg(),
            "/deep.png": pictures.deep_png(),
            "/photo.jpg": pictures.photo(),
            "/wrong-name.txt": pictures.picture("webp"),
        }
        if path in redirects:
            return "302 Found", [f"Location: {redirects[path]}"], b""
        if path in bodies:
            return _OK, ["Content-Type: image/png"], bodies[path]
        if path == "/broken":
            return "500 Internal Server Error", [], b"sorry"
        return "404 Not Found", [], b"nothing here"

    @staticmethod
    async def _endless(writer: asyncio.StreamWriter, part: bytes, pause_s: float) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
