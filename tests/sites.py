"""Small web servers on the loopback that answer as tests wish, and fetchers that may reach them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from typing import Any

from safelight.fetch import Fetcher, FetchPolicy

PICTURE = bytes(range(256)) * 4000
Answer = Callable[[asyncio.StreamWriter, str], Awaitable[None]]


class StubResolver:
    """Answers from a table; a name with several rounds of answers rebinds."""

    def __init__(self, rounds: dict[str, list[list[str]]] | None = None) -> None:
        self.rounds = rounds or {}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        rounds = self.rounds.get(host, [["127.0.0.1"]])
        return rounds.pop(0) if len(rounds) > 1 else rounds[0]


class Site:
    """A server of one answer a path; remembers the requests it got."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.requests: list[str] = []
        self.connections = 0
        self.at_once = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(request.decode())
                path = request.split()[1].decode().partition("?")[0]
                await self.answers[path](writer, path)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is gone, as many of these tests want
        finally:
            writer.close()

    def url(self, path: str, host: str = "good.example", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


@asynccontextmanager
async def running(
    answers: dict[str, Answer], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Site]:
    site = Site(answers)
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    async with server:
        yield site


def respond(body: bytes = PICTURE, status: str = "200 OK", **headers: str) -> Answer:
    fields = {"Content-Length": str(len(body)), "Content-Type": "image/png"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())

    async def answer(writer: asyncio.StreamWriter, path: str) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)

    return answer


def redirect(location: str, status: str = "302 Found") -> Answer:
    return respond(b"", status, Location=location)


def stream(pieces: int, piece: bytes, pause_s: float, **headers: str) -> Answer:
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())

    async def answer(writer: asyncio.StreamWriter, path: str) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\n".encode())
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        writer.close()

    return answer


def policy_for(site: Site, **changes: Any) -> FetchPolicy:
    given: dict[str, Any] = {
        "allow_networks": (IPv4Network("127.0.0.1/32"),),
        "ports": frozenset({site.port}),
        "total_s": 5.0,
        "idle_s": 5.0,
        "connect_s": 2.0,
    }
    return FetchPolicy(**(given | changes))


def fetcher_for(
    site: Site,
    resolver: StubResolver | None = None,
    tls: ssl.SSLContext | None = None,
    **changes: Any,
) -> Fetcher:
    plain = tls or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # spares reading the system's roots
    return Fetcher(policy_for(site, **changes), resolver or StubResolver(), tls=plain)
