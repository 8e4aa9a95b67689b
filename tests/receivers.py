"""A web server that is posted to: it answers what a test says, hangs, drips, or stays away."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from safelight.assets.urls import Links
from safelight.db import tables
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.fetch import FetchPolicy, Poster
from safelight.jobs.job import Job
from safelight.webhooks import store
from safelight.webhooks.delivery import Delivery
from safelight.webhooks.endpoint import Endpoint
from safelight.webhooks.service import Webhooks
from safelight.worker.senders.webhooks import Notifier
from tests import factories

BASE = "http://safelight.test"
LINKS = Links(BASE, f"{BASE}/files", "a secret")
ANY_PORT = frozenset(range(1, 65536))


@dataclass
class Message:
    """One posted message."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def event(self) -> dict[str, Any]:
        """The body, read."""
        return json.loads(self.body)


@dataclass
class Receiver:
    """Keeps what it was sent; answers each with the next of `answers`, or with `usual`."""

    port: int = 0
    usual: str = "200 OK"
    answers: list[str] = field(default_factory=list[str])
    got: list[Message] = field(default_factory=list[Message])
    hangs: bool = False
    hangs_at: tuple[str, ...] = ()  # endings of paths
    drips: bool = False  # its body, after the status
    now: int = 0
    most: int = 0  # at once
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _serving: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def url(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def open(self) -> asyncio.Server:
        """Begin to serve."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def close(self) -> None:
        """Leave no connection open."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, which ends with the answer."""
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._take_and_answer(reader, writer)
        finally:
            writer.close()

    async def _take_and_answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        fields = {
            name.lower(): value for name, value in (line.split(": ", 1) for line in lines if line)
        }
        body = await reader.readexactly(int(fields["content-length"]))
        self.now += 1
        self.most = max(self.most, self.now)
        self.got.append(Message(first.split()[1], fields, body))
        self.arrived.set()
        if self.hangs or self.got[-1].path.endswith(self.hangs_at or "\0"):
            await reader.read()
        self.now -= 1
        await self._answer(writer)

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        answer = self.answers.pop(0) if self.answers else self.usual
        length = 1_000_000 if self.drips else 2
        head = f"HTTP/1.1 {answer}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        writer.write(f"{head}ok".encode())
        await writer.drain()
        while self.drips:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def arrivals(self, count: int, within_s: float = 10) -> None:
        """Return when so many have come."""
        async with asyncio.timeout(within_s):
            while len(self.got) < count:
                self.arrived.clear()
                await self.arrived.wait()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver while the context is open."""
    receiver = Receiver()
    server = await receiver.open()
    try:
        yield receiver
    finally:
        server.close()
        await receiver.close()


@asynccontextmanager
async def notifying(database: Database, *, total_s: float = 2) -> AsyncIterator[Notifier]:
    """A notifier that may post to this machine."""
    policy = FetchPolicy(allow_private=True, ports=ANY_PORT)
    async with Poster(policy, total_s=total_s) as poster:
        yield Notifier(database, poster, LINKS)


@asynccontextmanager
async def at_work(notifier: Notifier) -> AsyncIterator[None]:
    """Run a notifier until the block ends, which is its death: it settles nothing more."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(notifier.run())
        yield
        running.cancel()


async def make_due(database: Database, ago: timedelta = timedelta()) -> None:
    """Let so much time pass that everything is due."""
    await database.write(
        lambda tx: tx.execute(sa.update(tables.deliveries).values(due_at=now(-ago)))
    )


async def endpoint(database: Database, account: str, url: str, *wanted: str) -> Endpoint:
    """Make an endpoint."""
    return await Webhooks(database).create(account, url=url, wanted=wanted or ["job.succeeded"])


async def finish(database: Database, account: str, **changes: Any) -> Job:
    """Have a job done."""
    job = await factories.run_one(database, account, **changes)
    claim = factories.claim_of(job)
    return await database.write(lambda tx: factories.succeed(tx, claim, cost_micros=0))


async def log(database: Database, of: Endpoint) -> list[Delivery]:
    """Return what was sent to an endpoint, newest first."""
    return await database.read(lambda tx: store.of_endpoint(tx, of.id, before=None, limit=200))
