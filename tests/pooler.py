"""A connection pooler in transaction mode, as pgbouncer is: each transaction gets any session."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_READY, _TERMINATE, _IDLE = b"Z", b"X", b"I"


@dataclass
class Pooler:
    """Sessions with the server at `port`, the last one used first; all clients share them."""

    port: int
    free: list["_Session"] = field(default_factory=list["_Session"])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client: a session for each transaction."""
        hello = await _untagged(reader)
        session = self.free.pop() if self.free else await _Session.open(self.port, hello)
        writer.write(session.greeting)
        self.free.append(session)
        while (message := await _tagged(reader)) and message[:1] != _TERMINATE:
            session = self.free.pop() if self.free else await _Session.open(self.port, hello)
            while True:
                session.writer.write(message)
                if message[:1] in (b"Q", b"S") and await session.answer(writer) == _IDLE:
                    break
                message = await _tagged(reader)
            self.free.append(session)
        writer.close()


@dataclass
class _Session:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeting: bytes

    @classmethod
    async def open(cls, port: int, hello: bytes) -> "_Session":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(hello)
        greeting = message = await _tagged(reader)
        while message[:1] != _READY:
            message = await _tagged(reader)
            greeting += message
        return cls(reader, writer, greeting)

    async def answer(self, writer: asyncio.StreamWriter) -> bytes:
        """Pass on everything until the server is ready; return the transaction's status."""
        while True:
            message = await _tagged(self.reader)
            writer.write(message)
            if message[:1] == _READY:
                return message[-1:]


async def _untagged(reader: asyncio.StreamReader) -> bytes:
    """Return the first message of a client, which has no type."""
    size = await reader.readexactly(4)
    return size + await reader.readexactly(struct.unpack("!I", size)[0] - 4)


async def _tagged(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readexactly(5)
        return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


@asynccontextmanager
async def pooling(port: int) -> AsyncIterator[int]:
    """Yield the port of a pooler before the PostgreSQL at `port`; use it with `sslmode=disable`."""
    pooler = Pooler(port)
    server = await asyncio.start_server(pooler.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for session in pooler.free:
            session.writer.close()
