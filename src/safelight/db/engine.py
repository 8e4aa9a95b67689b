"""Runs transactions, `await db.write(work)` and `await db.read(work)`, on either database.

`work` is a plain function that takes a connection and returns a value. It may be retried after a
conflict, so it must have no effects besides SQL. On PostgreSQL it runs under SQLAlchemy's greenlet
bridge on asyncpg. On SQLite, which allows one writer, a thread takes all queued work, runs each
item in a savepoint and commits once: durable (synchronous=FULL) and fast under load.

An unavailable database raises `ServiceError` (see outage.py). A driver's error that still escapes
is a bug in the query.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy import Connection, ExceptionContext, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from safelight.db.address import check_address, postgres_address
from safelight.db.outage import CONFLICTS, READ_ONLY, outage, sqlite_code, sqlstate
from safelight.db.pulse import Pulse
from safelight.db.sealed import OPTION, UNSEALED, Seal
from safelight.db.sqlite_file import prepare
from safelight.db.types import from_json, to_json
from safelight.errors import ServiceError

T = TypeVar("T")
Work = Callable[[Connection], T]
_Asked = tuple[Work[Any], Future[Any]]

_TRIES = 5
_MAX_GROUP = 64
_BUSY_S = 30  # how long a process waits for others to release a SQLite file
_END_S = 5.0  # for work in progress to finish when the database is closed
_CONNECT_S, _COMMAND_S, _PROBE_S = 5.0, 60.0, 2.0
_DIALECT = "postgresql+asyncpg://"
_CLOSED = "The database is closed."


class Database(Protocol):
    """One transaction per call; `write` commits when `work` returns and rolls back when it raises.

    Raises `ServiceError` while the database is unavailable, `StorageFull` if its disk is full.
    `read` runs in one snapshot. `look` has no transaction, which saves two round trips: each of its
    statements is a snapshot of its own, so `work` may have several only if they need not agree.
    """

    url: str

    async def write(self, work: Work[T]) -> T: ...

    async def read(self, work: Work[T]) -> T: ...

    async def look(self, work: Work[T]) -> T: ...

    async def close(self) -> None: ...


def open_database(url: str, seal: Seal = UNSEALED) -> Database:
    """Return the database at `sqlite:///PATH` or `postgresql://…`; neither created nor migrated.

    `seal` encrypts the secrets in its rows. Raises `ValueError` for other URLs.
    """
    check_address(url)
    if url.startswith("sqlite:"):
        return SqliteDatabase(url, seal=seal)
    return PostgresDatabase(url, seal=seal)


class PostgresDatabase:
    """A pool of asyncpg connections."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        pool_wait: timedelta = timedelta(seconds=10),
        seal: Seal = UNSEALED,
    ) -> None:
        """Let a call wait up to `pool_wait` for one of `pool_size` connections."""
        self.url = url
        address = postgres_address(url)
        self._engine = create_async_engine(
            _DIALECT,
            async_creator=partial(
                asyncpg.connect,
                address.dsn,
                timeout=address.timeout_s or _CONNECT_S,
                command_timeout=_COMMAND_S,
            ),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_wait.total_seconds(),
            json_serializer=to_json,
            json_deserializer=from_json,
            execution_options={OPTION: seal},
            hide_parameters=True,  # errors are logged, and parameters may contain secrets
        )
        event.listen(self._engine.sync_engine, "handle_error", _leave_read_only_sessions)
        self._snapshots = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._single = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._pulse = Pulse(self._probe)
        self._prober = create_async_engine(
            _DIALECT,
            poolclass=sa.NullPool,
            async_creator=partial(
                asyncpg.connect, address.dsn, timeout=_PROBE_S, command_timeout=_PROBE_S
            ),
        )
        self._under_way = 0
        self._idle = asyncio.Event()
        self._closed = False

    async def write(self, work: Work[T]) -> T:
        with self._counted():
            return await self._pulse.of(self._write(work))

    async def read(self, work: Work[T]) -> T:
        with self._counted():
            return await self._pulse.of(self._read(work, self._snapshots))

    async def look(self, work: Work[T]) -> T:
        with self._counted():
            return await self._pulse.of(self._read(work, self._single))

    @contextmanager
    def _counted(self) -> Generator[None]:
        if self._closed:
            raise ServiceError(_CLOSED)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _probe(self) -> None:
        """Return if the server answers, even with a refusal."""
        try:
            async with self._prober.connect() as connection:
                await connection.exec_driver_sql("SELECT 1")
        except DBAPIError as error:
            if sqlstate(error) is None:
                raise

    async def _write(self, work: Work[T]) -> T:
        for attempt in range(1, _TRIES + 1):
            try:
                return await self._write_once(work)
            except _Conflict as error:
                if attempt == _TRIES:
                    raise ServiceError("The transaction kept conflicting with others.") from error
                await asyncio.sleep(0.01 * 2**attempt)
            except _StaleConnection:
                continue
        raise ServiceError("The connection to the database kept breaking.")

    async def _write_once(self, work: Work[T]) -> T:
        async with self._connected(self._engine) as connection:
            transaction = await connection.begin()
            with _before_commit():
                result = await connection.run_sync(work)
            await transaction.commit()
            return result

    async def _read(self, work: Work[T], engine: AsyncEngine) -> T:
        for _ in range(_TRIES):
            try:
                async with self._connected(engine) as connection:
                    with _before_commit():
                        return await connection.run_sync(work)
            except (_StaleConnection, _Conflict):
                continue
        raise ServiceError("The connection to the database kept breaking.")

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncGenerator[AsyncConnection]:
        connected = False
        try:
            async with engine.connect() as connection:
                connected = True
                yield connection
        except (DBAPIError, OSError, NoFreeConnection) as error:
            code = sqlstate(error)
            if code in CONFLICTS:
                raise _Conflict from error
            if code == READ_ONLY and engine is self._snapshots:
                raise  # a write inside `read` is a bug: a standby accepts reads
            away = outage(error)
            if away is None and not connected:  # so it cannot be a bug in a query
                away = ServiceError("The database refuses connections.")
            if away is None:
                raise
            raise away from error

    async def close(self) -> None:
        """Wait for work in progress, whose callers may have left, then close."""
        self._closed = True
        if self._under_way:
            self._idle.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await self._idle.wait()
        await self._pulse.close()
        await self._prober.dispose()
        await self._engine.dispose()


class _Conflict(Exception):
    """A serialization conflict; nothing was committed, and a retry may succeed."""


class _StaleConnection(Exception):
    """The pooled connection was dead before the commit; another one may work."""


def _leave_read_only_sessions(context: ExceptionContext) -> None:
    """Discard the connections: sessions opened before a promotion stay read-only."""
    connection = context.connection
    reads = connection and connection.get_execution_options().get("postgresql_readonly")
    if sqlstate(context.sqlalchemy_exception) == READ_ONLY and not reads:
        context.is_disconnect = True


@contextmanager
def _before_commit() -> Generator[None]:
    try:
        yield
    except DBAPIError as error:
        # A statement plan cached before a migration is dropped when it fails.
        cause = error.orig and error.orig.__cause__
        broken = error.connection_invalidated and sqlstate(error) != READ_ONLY
        if broken or isinstance(cause, asyncpg.InvalidCachedStatementError):
            raise _StaleConnection from error
        raise


class SqliteDatabase:
    """One writing thread with group commit, and a few reading threads, on one WAL file."""

    def __init__(
        self,
        url: str,
        *,
        readers: int = 2,
        busy_wait: timedelta | None = None,
        seal: Seal = UNSEALED,
    ) -> None:
        """Let a write wait up to `busy_wait` for other processes, by default 30 s."""
        self.url = url
        self._busy_wait = busy_wait
        self._engine = sa.create_engine(
            url,
            poolclass=sa.QueuePool,
            pool_size=readers + 1,
            max_overflow=0,
            json_serializer=to_json,
            json_deserializer=from_json,
            execution_options={OPTION: seal},
            hide_parameters=True,
            connect_args={"check_same_thread": False},
        )
        event.listen(self._engine, "connect", self._prepare)
        self._inbox: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="sqlite-writer", daemon=True)
        self._writer.start()
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="sqlite-reader")
        self._closed = False

    async def write(self, work: Work[T]) -> T:
        self._check_open()
        done: Future[T] = Future()
        self._inbox.put((work, done))
        return await asyncio.wrap_future(done)

    async def read(self, work: Work[T]) -> T:
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    async def look(self, work: Work[T]) -> T:
        return await self.read(work)  # its transaction costs nothing

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._inbox.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        self._engine.dispose()

    def _check_open(self) -> None:
        if self._closed:
            raise ServiceError(_CLOSED)

    def _prepare(self, connection: sqlite3.Connection, _: object) -> None:
        prepare(connection, self._busy_wait or timedelta(seconds=_BUSY_S))

    def _read(self, work: Work[T]) -> T:
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN")  # one snapshot for all of its statements
                return work(connection)
        except Exception as error:
            if (away := outage(error)) is None:
                raise
            raise away from error

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

    def _write_group(self, group: list[_Asked]) -> None:
        """Commit all of `group` together; work that raises is rolled back alone."""
        try:
            results = self._commit(group)
        except BaseException as error:  # noqa: BLE001  nothing may end the writer thread
            # Retry one by one, so that one failure does not affect the others.
            if len(group) > 1 and not _is_busy(error):
                for pair in group:
                    self._write_group([pair])
                return
            results = [(None, error)] * len(group)
        for (_, done), (result, failure) in zip(group, results, strict=True):
            if failure is None:
                done.set_result(result)
            elif away := outage(failure):
                away.__cause__ = failure
                done.set_exception(away)
            else:
                done.set_exception(failure)

    def _commit(self, group: list[_Asked]) -> list[tuple[Any, BaseException | None]]:
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            results = [_in_savepoint(connection, work) for work, _ in group]
            connection.exec_driver_sql("COMMIT")
        return results


def _in_savepoint(connection: Connection, work: Work[T]) -> tuple[T | None, BaseException | None]:
    connection.exec_driver_sql("SAVEPOINT one")
    try:
        result = work(connection)
    except BaseException as error:
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection) or not driver.in_transaction:
            raise  # a full disk can make SQLite roll back the whole transaction, not one statement
        connection.exec_driver_sql("ROLLBACK TO one")
        connection.exec_driver_sql("RELEASE one")
        return None, error
    connection.exec_driver_sql("RELEASE one")
    return result, None


def _is_busy(error: BaseException) -> bool:
    """Return whether the wait for another process timed out; retries would wait as long."""
    return sqlite_code(error) == sqlite3.SQLITE_BUSY
