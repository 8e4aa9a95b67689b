"""Rings over PostgreSQL: LISTEN on a dedicated connection, NOTIFY in batches.

A connection pooler must use session mode; in transaction mode it loses LISTEN.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn

import asyncpg

from safelight.db.address import postgres_address
from safelight.doorbell import message
from safelight.doorbell.ears import Ears
from safelight.doorbell.wire import DEADLINE_S, Rhythm, closing

_CHANNEL = "safelight"
_MOST_BYTES = 7_900  # the server's limit is 8,000


class PostgresLine:
    """One session that listens and notifies."""

    def __init__(self, connection: asyncpg.Connection, ears: Ears) -> None:
        self._connection = connection
        self._ears = ears
        self._ended = asyncio.Event()

    async def open(self) -> None:
        """Start listening."""
        # A notification's commit would wait for the disk, and a lost ring only delays.
        await self._connection.execute("SET synchronous_commit = off")
        self._connection.add_termination_listener(lambda _: self._ended.set())
        await self._connection.add_listener(_CHANNEL, self._notified)

    def _notified(self, _connection: object, _pid: int, _channel: str, text: object) -> None:
        self._ears.hear(str(text))

    async def send(self, topics: Sequence[str]) -> None:
        texts = list(message.write(self._ears.id, topics, _MOST_BYTES))
        # One statement: committing notifications takes a server-wide lock.
        await self._connection.execute(
            "SELECT pg_notify($1, text) FROM unnest($2::text[]) AS text", _CHANNEL, texts
        )

    async def probe(self) -> None:
        await self._connection.execute("SELECT 1")

    async def hear(self) -> NoReturn:
        await self._ended.wait()
        raise ConnectionError("the session ended")

    async def check(self) -> None:
        """Do nothing: a working session carries every ring."""


class PostgresWire:
    """Sessions with the server at `url`, in the database URL's format."""

    name = "postgres"
    rhythm = Rhythm()

    def __init__(self, url: str) -> None:
        self._address = postgres_address(url)

    @asynccontextmanager
    async def connect(self, ears: Ears) -> AsyncGenerator[PostgresLine]:
        connection = await asyncpg.connect(
            self._address.dsn,
            command_timeout=DEADLINE_S,
            server_settings={"application_name": "safelight doorbell"},
            timeout=self._address.timeout_s or DEADLINE_S,
        )
        try:
            line = PostgresLine(connection, ears)
            await line.open()
            yield line
        finally:
            async with closing():
                await connection.close()
            connection.terminate()
