"""Transactions on both databases: what commits, what does not, and how an outage looks."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from safelight.db.engine import Database, PostgresDatabase, SqliteDatabase, open_database
from safelight.db.types import Instant, Json, now
from safelight.errors import ServiceError, StorageFull
from tests.servers import PostgresServer, free_port, wait_until_async

metadata = sa.MetaData()
notes = sa.Table(
    "notes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("body", Json),
    sa.Column("at", Instant),
)

_ONE = sa.text("SELECT 1")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url)
    await opened.write(metadata.create_all)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(f"sqlite:///{tmp_path / 'one.db'}")
    await opened.write(metadata.create_all)
    yield opened
    await opened.close()


def put(tx: Connection, number: int, body: object = None) -> int:
    tx.execute(sa.insert(notes).values(id=number, body=body, at=now()))
    return number


def numbers(tx: Connection) -> list[int]:
    return list(tx.scalars(sa.select(notes.c.id).order_by(notes.c.id)))


async def test_write_when_it_returns_is_seen_by_the_next_read(database: Database) -> None:
    assert await database.write(lambda tx: put(tx, 7)) == 7
    assert await database.read(numbers) == [7]


async def test_write_when_it_raises_leaves_nothing(database: Database) -> None:
    def half(tx: Connection) -> None:
        put(tx, 1)
        raise LookupError("halfway")

    with pytest.raises(LookupError, match="halfway"):
        await database.write(half)
    assert await database.read(numbers) == []


async def test_writes_when_many_come_at_once_fail_alone(database: Database) -> None:
    def work(tx: Connection, number: int) -> int:
        put(tx, number)
        if number % 7 == 0:
            raise LookupError(number)
        if number % 5 == 0:
            put(tx, number)  # the same key again
        return number

    answers = await asyncio.gather(
        *(database.write(lambda tx, number=number: work(tx, number)) for number in range(1, 100)),
        return_exceptions=True,
    )
    for number, answer in enumerate(answers, 1):
        expected = LookupError if number % 7 == 0 else IntegrityError if number % 5 == 0 else int
        assert isinstance(answer, expected)
    kept = [number for number in range(1, 100) if number % 7 and number % 5]
    assert await database.read(numbers) == kept


async def test_write_when_even_the_interpreter_s_own_errors_are_raised_serves_the_next(
    database: Database,
) -> None:
    def leave(_: Connection) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await database.write(leave)
    assert await asyncio.wait_for(database.write(lambda tx: put(tx, 1)), 5) == 1


async def test_read_when_others_write_meanwhile_sees_one_moment(database: Database) -> None:
    """A document shows a job and its outputs from one snapshot."""
    looking, written = threading.Event(), threading.Event()

    def look_until_written(tx: Connection) -> list[list[int]]:
        seen = [numbers(tx)]
        looking.set()
        while not written.is_set():
            seen.append(numbers(tx))
        return [*seen, numbers(tx)]

    async def write() -> None:
        await wait_until_async(lambda: asyncio.sleep(0, looking.is_set()))
        await database.write(lambda tx: put(tx, 1))
        written.set()

    seen, _ = await asyncio.gather(database.read(look_until_written), write())
    assert set(map(tuple, seen)) == {()}
    assert await database.read(numbers) == [1]


async def test_now_when_shifted_moves_by_that_much_in_every_statement(database: Database) -> None:
    for minutes in (-5, 0, 5, 60):
        shift = timedelta(minutes=minutes)
        base, moved = await database.read(
            lambda tx, s=shift: tx.execute(sa.select(now(), now(s))).one()
        )
        assert abs(moved - base - shift) < timedelta(seconds=1)


async def test_json_when_it_holds_what_no_database_takes_is_stored_with_a_mark(
    database: Database,
) -> None:
    body = {"nul": "a\x00b", "half": "c\ud800d", "fine": "\\u0000 é 🐈", "k\x00": None}
    await database.write(lambda tx: put(tx, 1, body))
    kept = await database.read(lambda tx: tx.scalar(sa.select(notes.c.body)))
    assert kept == {"nul": "a\ufffdb", "half": "c?d", "fine": "\\u0000 é 🐈", "k\ufffd": None}


async def test_close_when_called_twice_refuses_what_comes_later(database: Database) -> None:
    await database.write(lambda tx: put(tx, 1))
    await database.close()
    await database.close()
    with pytest.raises(ServiceError):
        await database.write(numbers)
    with pytest.raises(ServiceError):
        await database.read(numbers)


async def test_close_when_writes_are_waiting_finishes_them(database: Database) -> None:
    writes = [asyncio.ensure_future(database.write(lambda tx, n=n: put(tx, n))) for n in range(200)]
    await asyncio.sleep(0)  # all are handed in now
    await database.close()
    assert await asyncio.gather(*writes) == list(range(200))


# --- SQLite ----------------------------------------------------------------------------------


async def test_disk_when_full_refuses_writes_and_recovers(sqlite: SqliteDatabase) -> None:
    pages = await sqlite.write(lambda tx: tx.exec_driver_sql("PRAGMA page_count").scalar_one())

    def limit(tx: Connection, most: int) -> None:
        tx.exec_driver_sql(f"PRAGMA max_page_count={most}")

    await sqlite.write(lambda tx: limit(tx, pages + 8))
    big = "x" * 100_000
    answers = await asyncio.gather(
        sqlite.write(lambda tx: put(tx, 1)),
        sqlite.write(lambda tx: put(tx, 2, big)),
        sqlite.write(lambda tx: put(tx, 3)),
        return_exceptions=True,
    )
    assert isinstance(answers[1], StorageFull)
    assert [answers[0], answers[2]] == [1, 3], "small writes still fit, beside a large one"
    assert await sqlite.read(numbers) == [1, 3]
    await sqlite.write(lambda tx: limit(tx, 100_000))
    assert await sqlite.write(lambda tx: put(tx, 2, big)) == 2


async def test_write_when_another_process_held_the_file_waits_for_it(
    sqlite: SqliteDatabase, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "one.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(sqlite.write(lambda tx: put(tx, 1)))
    assert await sqlite.read(numbers) == []  # readers do not wait
    other.execute("COMMIT")
    other.close()
    assert await waiting == 1


async def test_write_when_canceled_before_its_turn_is_not_made(sqlite: SqliteDatabase) -> None:
    go_on = threading.Event()
    first = asyncio.ensure_future(sqlite.write(lambda _: go_on.wait(5)))
    second = asyncio.ensure_future(sqlite.write(lambda tx: put(tx, 2)))
    await asyncio.sleep(0)
    second.cancel()
    go_on.set()
    assert await first
    with pytest.raises(asyncio.CancelledError):
        await second
    assert await sqlite.read(numbers) in ([], [2])  # it may have been in the first one's group
    assert await sqlite.write(lambda tx: put(tx, 3)) == 3


async def test_sqlite_when_opened_is_durable_and_checks_foreign_keys(
    sqlite: SqliteDatabase,
) -> None:
    def pragma(tx: Connection, name: str) -> object:
        return tx.exec_driver_sql(f"PRAGMA {name}").scalar_one()

    assert await sqlite.write(lambda tx: pragma(tx, "journal_mode")) == "wal"
    assert await sqlite.write(lambda tx: pragma(tx, "synchronous")) == 2
    assert await sqlite.write(lambda tx: pragma(tx, "foreign_keys")) == 1


# --- PostgreSQL ------------------------------------------------------------------------------


@pytest.fixture
async def postgresql(postgres_server: PostgresServer) -> AsyncIterator[PostgresDatabase]:
    url = postgres_server.create_database()
    opened = PostgresDatabase(url, pool_size=4)
    await opened.write(metadata.create_all)
    yield opened
    await opened.close()
    postgres_server.drop_database(url)


def put_both(tx: Connection, first: int, second: int) -> None:
    for number in (first, second):
        tx.execute(sa.update(notes).where(notes.c.id == number).values(body=number))
        tx.exec_driver_sql("SELECT pg_sleep(0.05)")


async def test_write_when_it_deadlocks_is_done_again(postgresql: PostgresDatabase) -> None:
    for number in (1, 2):
        await postgresql.write(lambda tx, n=number: put(tx, n))
    tries: list[int] = []

    def work(tx: Connection, first: int, second: int) -> None:
        tries.append(first)
        tx.exec_driver_sql("SET LOCAL deadlock_timeout = '20ms'")
        put_both(tx, first, second)

    await asyncio.gather(
        postgresql.write(lambda tx: work(tx, 1, 2)), postgresql.write(lambda tx: work(tx, 2, 1))
    )
    assert len(tries) == 3


async def test_write_when_it_conflicts_for_ever_gives_up(postgresql: PostgresDatabase) -> None:
    tries: list[int] = []

    def conflict(tx: Connection) -> None:
        tries.append(1)
        tx.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")

    with pytest.raises(ServiceError):
        await postgresql.write(conflict)
    assert len(tries) == 5


async def test_connection_when_the_server_ends_it_is_an_outage_and_replaced(
    postgresql: PostgresDatabase,
) -> None:
    def leave(tx: Connection) -> None:
        tx.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(ServiceError):
        await postgresql.write(leave)
    assert await postgresql.write(lambda tx: put(tx, 1)) == 1


async def test_database_when_it_takes_no_connections_is_an_outage(
    postgresql: PostgresDatabase, postgres_server: PostgresServer
) -> None:
    """As while PostgreSQL starts or stops: the driver raises errors of its own then."""
    url = postgres_server.create_database()
    shut = PostgresDatabase(url)

    def allow(tx: Connection, yes: bool) -> None:
        tx.exec_driver_sql(f"ALTER DATABASE {url.rpartition('/')[2]} ALLOW_CONNECTIONS {yes}")

    await postgresql.write(lambda tx: allow(tx, False))
    with pytest.raises(ServiceError):
        await shut.write(metadata.create_all)
    with pytest.raises(ServiceError):
        await shut.read(numbers)
    await postgresql.write(lambda tx: allow(tx, True))
    await shut.write(metadata.create_all)
    await shut.close()
    postgres_server.drop_database(url)


async def test_database_when_nobody_listens_is_an_outage() -> None:
    away = open_database(f"postgresql://safelight@127.0.0.1:{free_port()}/none")
    with pytest.raises(ServiceError):
        await away.read(numbers)
    await away.close()


async def test_read_when_it_tries_to_write_is_refused(postgresql: PostgresDatabase) -> None:
    with pytest.raises(DBAPIError):
        await postgresql.read(lambda tx: put(tx, 1))
    assert await postgresql.write(lambda tx: put(tx, 2)) == 2, "and the next may write"


@pytest.mark.parametrize("url", ["mysql://a/b", "", "postgres", "file.db"])
def test_url_when_of_another_database_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must start with"):
        open_database(url)


async def test_sqlite_when_a_new_file_is_opened_by_many_at_once_refuses_none(
    tmp_path: Path,
) -> None:
    for number in range(20):  # of files, as who comes first is chance
        url = f"sqlite:///{tmp_path / f'{number}.db'}"
        opened = [SqliteDatabase(url) for _ in range(6)]
        found = await asyncio.gather(*(one.read(lambda tx: tx.scalar(_ONE)) for one in opened))
        assert found == [1] * 6
        for one in opened:
            await one.close()
