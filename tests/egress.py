"""A small egress proxy on the loopback that tests send their downloads through."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class EgressProxy:
    """Tunnels, and forwards requests in absolute form; all names lead to this machine."""

    def __init__(
        self,
        *,
        login: tuple[bytes, bytes] | None = None,
        refusal: str = "",
        silent: bool = False,
    ) -> None:
        self.port = 0
        self.heads: list[str] = []
        self._login = login
        self._refusal = refusal
        self._silent = silent

    @property
    def targets(self) -> list[str]:
        return [head.split(" ")[1] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            if self._silent:
                await reader.read()  # until the client has had enough
            elif refusal := self._refusal or self._why_not(head):
                writer.write(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
            elif head.startswith("CONNECT "):
                await self._tunnel(head, reader, writer)
            else:
                await self._forward(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is gone
        finally:
            writer.close()

    def _why_not(self, head: str) -> str:
        if self._login is None:
            return ""
        wanted = base64.b64encode(b":".join(self._login)).decode()
        known = f"Proxy-Authorization: Basic {wanted}\r\n" in head
        return "" if known else "407 Who Are You"

    async def _tunnel(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        port = int(head.split(" ")[1].rpartition(":")[2])
        there, to_there = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, to_there))
            group.create_task(pump(there, writer))

    async def _forward(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        method, target, rest = head.split(" ", 2)
        url = urlsplit(target)
        there, to_there = await asyncio.open_connection("127.0.0.1", url.port)
        fields = [line for line in rest.split("\r\n") if not line.startswith("Proxy-")]
        path = f"{url.path}?{url.query}" if url.query else url.path
        to_there.write(" ".join([method, path, "\r\n".join(fields)]).encode())
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, to_there))
            group.create_task(pump(there, writer))


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass bytes on until one side ends, which then ends for the other too."""
    with suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


@asynccontextmanager
async def proxying(
    *, login: tuple[bytes, bytes] | None = None, refusal: str = "", silent: bool = False
) -> AsyncIterator[EgressProxy]:
    proxy = EgressProxy(login=login, refusal=refusal, silent=silent)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy
