"""Runs transactions: `await db.write(work)` and `await db.read(work)`, on SQLite and PostgreSQL alike.

`work` is a plain function that takes a connection and returns a value. It may run again after a
conflict, so it does nothing but SQL. On PostgreSQL it runs under SQLAlchemy's greenlet bridge on
asyncpg. On SQLite, which has one writer, a thread takes all work that has piled up, gives each its
savepoint and commits once: durable (synchronous=FULL) and quick under load.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from safelight.errors import ServiceError, StorageFull

T = TypeVar("T")
Work = Callable[[Connection], T]

_TRIES = 5
_MAX_GROUP = 64
_CONFLICTS = {"40001", "40P01"}  # serialization failure, deadlock


class Database(Protocol):
    """One transaction a call; `write` commits when `work` returns and rolls back when it raises."""

    url: str

    async def write(self, work: Work[T]) -> T: ...

    async def read(self, work: Work[T]) -> T: ...

    async def close(self) -> None: ...


def open_database(url: str) -> Database:
    """Return the database at `sqlite:///PATH` or `postgresql://…`; nothing is created or migrated."""
    if url.startswith("sqlite:"):
        return SqliteDatabase(url)
    if url.startswith(("postgresql:", "postgres:", "postgresql+asyncpg:")):
        return PostgresDatabase("postgresql+asyncpg://" + url.split("://", 1)[1])
    raise ValueError("The database URL must start with sqlite:/// or postgresql://")


class PostgresDatabase:
    """A pool of asyncpg connections."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = url
        self._engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=30,
            pool_pre_ping=True,
            connect_args={"timeout": 10, "command_timeout": 60},
        )

    async def write(self, work: Work[T]) -> T:
        for attempt in range(1, _TRIES + 1):
            try:
                async with self._engine.begin() as connection:
                    return await connection.run_sync(work)
            except DBAPIError as error:
                conflict = getattr(error.orig, "sqlstate", None) in _CONFLICTS
                if not conflict or attempt == _TRIES:
                    raise
                await asyncio.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable")

    async def read(self, work: Work[T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        await self._engine.dispose()


class SqliteDatabase:
    """One writing thread with group commit, and a few reading threads, on one WAL file."""

    def __init__(self, url: str, *, readers: int = 2) -> None:
        self.url = url
        self._engine = sa.create_engine(
            url,
            poolclass=sa.pool.QueuePool,
            pool_size=readers + 1,
            max_overflow=0,
            connect_args={"check_same_thread": False, "timeout": 30},
        )
        sa.event.listen(self._engine, "connect", _prepare_sqlite)
        self._inbox: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="sqlite-writer", daemon=True)
        self._writer.start()
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="sqlite-reader")
        self._closed = False

    async def write(self, work: Work[T]) -> T:
        if self._closed:
            raise ServiceError("The database is closed.")
        done: Future[T] = Future()
        self._inbox.put((work, done))
        return await asyncio.wrap_future(done)

    async def read(self, work: Work[T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def _read(self, work: Work[T]) -> T:
        with self._engine.connect() as connection:
            return work(connection)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._inbox.put(None)
        await asyncio.to_thread(self._writer.join)
        self._readers.shutdown()
        self._engine.dispose()

    def _write_all(self) -> None:
        while (first := self._inbox.get()) is not None:
            group = [first]
            closing = False
            while len(group) < _MAX_GROUP and not self._inbox.empty():
                if (following := self._inbox.get()) is None:
                    closing = True
                    break
                group.append(following)
            self._write_group([pair for pair in group if pair[1].set_running_or_notify_cancel()])
            if closing:
                return

    def _write_group(self, group: list[tuple[Work[Any], Future[Any]]]) -> None:
        """Commit all of `group` at once; each that raises is undone alone."""
        settled: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                for work, done in group:
                    settled.append((done, *_in_savepoint(connection, work)))
                connection.exec_driver_sql("COMMIT")
        except Exception as error:  # noqa: BLE001  handed to every caller of the group below
            failure = _translate(error)
            settled = [(done, None, failure) for _, done in group]
        for done, result, error in settled:
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)


def _in_savepoint(connection: Connection, work: Work[T]) -> tuple[T | None, BaseException | None]:
    connection.exec_driver_sql("SAVEPOINT one")
    try:
        result = work(connection)
    except Exception as error:  # noqa: BLE001  becomes the caller's exception
        if _is_fatal(error):
            raise
        connection.exec_driver_sql("ROLLBACK TO one")
        connection.exec_driver_sql("RELEASE one")
        return None, error
    connection.exec_driver_sql("RELEASE one")
    return result, None


def _is_fatal(error: Exception) -> bool:
    """Say whether SQLite has ended the whole transaction (disk full, I/O error), not one statement."""
    return isinstance(error, OperationalError) and (
        "full" in str(error.orig) or "I/O" in str(error.orig)
    )


def _translate(error: Exception) -> Exception:
    if isinstance(error, OperationalError) and "full" in str(error.orig):
        return StorageFull("The database's disk is full.")
    return error


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # BEGIN and COMMIT are ours to say
    connection.create_function("now_us", 0, lambda: time.time_ns() // 1000)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "busy_timeout=30000",
        "cache_size=-16000",
    ):
        connection.execute(f"PRAGMA {pragma}")
