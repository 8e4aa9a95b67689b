"""A vendor's server on the loopback: routes, a ledger of calls, and faults by script."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

_PIECE = b"x" * 65_536
_MOST_BODY = 64 * 2**20


@dataclass(frozen=True)
class Call:
    """A request as it came. `match` holds the groups of its route's pattern."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    match: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """An answer; `body` may be JSON to be, text or bytes."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()

    def head(self, length: int | None) -> bytes:
        plain = isinstance(self.body, (bytes, str))
        fields = {"Content-Type": "application/octet-stream" if plain else "application/json"}
        if length is not None:
            fields["Content-Length"] = str(length)
        lines = "".join(
            f"{name}: {value}\r\n" for name, value in (fields | dict(self.headers)).items()
        )
        return f"HTTP/1.1 {self.status} Status\r\n{lines}Connection: close\r\n\r\n".encode()


@dataclass(frozen=True)
class Entry:
    """A paid order in a vendor's own books.

    `cancels` counts how often it was asked to stop. `cost_micros` is what it charges in the end,
    None while the work goes on.
    """

    id: str
    prompt: str
    cancels: int = 0
    cost_micros: int | None = None


PRICE_MICROS = 1_000  # of a work that was done, at every stub

Handler = Callable[[Call], Reply]
Work = Callable[[], Reply]
Fault = Callable[[asyncio.StreamWriter, Work], Awaitable[None]]


# --- faults: each gets the work that the call would do, and does it or not ----------------------


def refuse(status: int, body: Any = b"", **headers: str) -> Fault:
    """Answer with this status, the work undone; `Retry_After="3"` makes a header."""

    async def fault(writer: asyncio.StreamWriter, work: Work) -> None:
        _send(writer, Reply(status, body, {k.replace("_", "-"): v for k, v in headers.items()}))

    return fault


async def hang(writer: asyncio.StreamWriter, work: Work) -> None:
    """Take the request and say nothing."""
    await asyncio.Event().wait()


async def hang_after_headers(writer: asyncio.StreamWriter, work: Work) -> None:
    """Do the work, send the headers, and nothing more."""
    reply = work()
    writer.write(reply.head(len(reply.content)))
    await asyncio.Event().wait()


async def hang_in_body(writer: asyncio.StreamWriter, work: Work) -> None:
    """Do the work, and stop in the middle of telling."""
    reply = work()
    writer.write(reply.head(len(reply.content)) + reply.content[: len(reply.content) // 2])
    await asyncio.Event().wait()


async def cut(writer: asyncio.StreamWriter, work: Work) -> None:
    """Close the connection, the work undone."""


async def lose_answer(writer: asyncio.StreamWriter, work: Work) -> None:
    """Do the work, and close the connection instead of telling."""
    work()


async def cut_in_body(writer: asyncio.StreamWriter, work: Work) -> None:
    """Do the work, and close in the middle of telling: a truncated file."""
    reply = work()
    writer.write(reply.head(len(reply.content)) + reply.content[: len(reply.content) // 2])


async def garbage(writer: asyncio.StreamWriter, work: Work) -> None:
    """Do the work and answer what is no HTTP."""
    work()
    writer.write(b"\x00\xff SSH-2.0-nonsense\r\n\r\n")


async def no_json(writer: asyncio.StreamWriter, work: Work) -> None:
    """Do the work and answer a success that nobody can read."""
    work()
    _send(writer, Reply(200, b"{'nonsense"))


async def html(writer: asyncio.StreamWriter, work: Work) -> None:
    """Do the work and answer a page for people."""
    work()
    _send(writer, Reply(200, b"<!doctype html><h1>Sorry</h1>", {"Content-Type": "text/html"}))


async def endless(writer: asyncio.StreamWriter, work: Work) -> None:
    """Do the work and answer without end."""
    writer.write(work().head(None))
    while True:
        writer.write(_PIECE)
        await writer.drain()


def claim(length: int, **headers: str) -> Fault:
    """Announce a body of this many bytes, and send nothing of it."""

    async def fault(writer: asyncio.StreamWriter, work: Work) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        writer.write(Reply(200, b"", named).head(length))
        await asyncio.Event().wait()

    return fault


def drip(pause_s: float) -> Fault:
    """Do the work and tell it byte by byte."""

    async def fault(writer: asyncio.StreamWriter, work: Work) -> None:
        reply = work()
        writer.write(reply.head(len(reply.content)))
        for at in range(len(reply.content)):
            writer.write(reply.content[at : at + 1])
            await writer.drain()
            await asyncio.sleep(pause_s)

    return fault


def in_frames(pause_s: float) -> Fault:
    """Do the work and tell its events one after the other: how long work looks that streams."""

    async def fault(writer: asyncio.StreamWriter, work: Work) -> None:
        reply = work()
        writer.write(reply.head(len(reply.content)))
        for part in reply.content.split(b"\n\n"):
            writer.write(part + b"\n\n")
            await writer.drain()
            await asyncio.sleep(pause_s)

    return fault


def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    writer.write(reply.head(len(reply.content)) + reply.content)


# --- the server ---------------------------------------------------------------------------------


class Vendor:
    """A server of a vendor's routes. `calls` is everything that ever came, in order."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[Any]] = set()
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []
        self._faults: list[tuple[str, re.Pattern[str], Fault]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def route(self, method: str, pattern: str, handler: Handler) -> None:
        """Answer calls whose whole path matches; `*` is any method."""
        self._routes.append((method, re.compile(pattern), handler))

    def fault(self, method: str, pattern: str, *faults: Fault) -> None:
        """Let the next calls whose whole path matches go wrong, one after the other."""
        self._faults += [(method, re.compile(pattern), fault) for fault in faults]

    def called(self, method: str, pattern: str) -> list[Call]:
        """Return the calls whose whole path matches."""
        return [
            call
            for call in self.calls
            if call.method == method and re.fullmatch(pattern, call.path)
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            await self.close()

    async def close(self) -> None:
        """Hang up, and listen no more."""
        if self._server is not None:
            self._server.close()
        still_open = list(self._open)
        for task in still_open:
            task.cancel()
        await asyncio.gather(*still_open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                call = await _read(reader)
                self.calls.append(call)
                await self._answer(writer, call)
                await writer.drain()
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, call: Call) -> None:
        def work() -> Reply:
            for method, pattern, handler in self._routes:
                found = pattern.fullmatch(call.path)
                if found and method in ("*", call.method):
                    return handler(replace(call, match=tuple(g or "" for g in found.groups())))
            return Reply(404, {"error": "no such route"})

        for place, (method, pattern, fault) in enumerate(self._faults):
            if method in ("*", call.method) and pattern.fullmatch(call.path):
                del self._faults[place]
                await fault(writer, work)
                return
        reply = work()
        if call.method == "HEAD":
            writer.write(reply.head(len(reply.content)))
        else:
            _send(writer, reply)


async def _read(reader: asyncio.StreamReader) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    else:
        body = await reader.readexactly(min(int(headers.get("content-length", 0)), _MOST_BODY))
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Call(method, unquote(parts.path), query, headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return bytes(body)
