"""A database that is away is an outage in whichever way it is; a mistake of ours is not."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from safelight.db.engine import PostgresDatabase, SqliteDatabase
from safelight.errors import ServiceError, StorageFull
from tests.servers import PostgresServer

MOMENT = timedelta(milliseconds=50)

metadata = sa.MetaData()
notes = sa.Table("notes", metadata, sa.Column("id", sa.Integer, primary_key=True))


def put(tx: Connection, number: int) -> int:
    tx.execute(sa.insert(notes).values(id=number))
    return number


def numbers(tx: Connection) -> list[int]:
    return list(tx.scalars(sa.select(notes.c.id).order_by(notes.c.id)))


def run(tx: Connection, statement: str) -> None:
    tx.exec_driver_sql(statement)


# --- PostgreSQL ------------------------------------------------------------------------------


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    return postgres_server.create_database()


@pytest.fixture
async def postgresql(url: str, postgres_server: PostgresServer) -> AsyncIterator[PostgresDatabase]:
    opened = PostgresDatabase(url, pool_size=2, pool_wait=MOMENT)
    await opened.write(metadata.create_all)
    yield opened
    await opened.close()
    postgres_server.drop_database(url)


@pytest.fixture
async def operator(postgres_server: PostgresServer) -> AsyncIterator[PostgresDatabase]:
    """Someone who works on the same server, from a database of their own."""
    url = postgres_server.create_database()
    opened = PostgresDatabase(url)
    yield opened
    await opened.close()
    postgres_server.drop_database(url)


async def test_postgresql_when_it_turns_read_only_is_an_outage_until_it_takes_writes_again(
    postgresql: PostgresDatabase, operator: PostgresDatabase, url: str
) -> None:
    """As after a failover to a standby. Sessions that began then stay as they are for ever."""
    name = url.rpartition("/")[2]
    alter = f"ALTER DATABASE {name} %s default_transaction_read_only"
    end = sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
    await operator.write(lambda tx: run(tx, alter % "SET" + " = on"))
    await operator.write(lambda tx: tx.execute(end, {"name": name}).all())
    for _ in range(3):
        with pytest.raises(ServiceError):
            await postgresql.write(lambda tx: put(tx, 1))
    assert await postgresql.read(numbers) == []
    await asyncio.gather(*(postgresql.read(numbers) for _ in "12"))  # all sessions began then
    await operator.write(lambda tx: run(tx, alter % "RESET"))
    with pytest.raises(ServiceError):
        await postgresql.write(lambda tx: put(tx, 1))
    assert await postgresql.write(lambda tx: put(tx, 1)) == 1


async def test_postgresql_when_a_read_would_write_is_a_mistake_of_ours(
    postgresql: PostgresDatabase,
) -> None:
    with pytest.raises(DBAPIError):
        await postgresql.read(lambda tx: put(tx, 1))


async def test_postgresql_when_all_connections_are_in_use_is_an_outage(
    postgresql: PostgresDatabase,
) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(postgresql.write(lambda tx: run(tx, "SELECT pg_sleep(0.5)")))
        await asyncio.sleep(0)
        with pytest.raises(ServiceError):
            await postgresql.write(lambda tx: put(tx, 1))
        with pytest.raises(ServiceError):
            await postgresql.read(numbers)
    assert await postgresql.write(lambda tx: put(tx, 1)) == 1


@pytest.mark.parametrize("limit", ["statement_timeout", "transaction_timeout"])
async def test_postgresql_when_a_statement_takes_too_long_is_an_outage(
    postgresql: PostgresDatabase, limit: str
) -> None:
    def work(tx: Connection) -> None:
        run(tx, f"SET LOCAL {limit} = '20ms'")
        run(tx, "SELECT pg_sleep(5)")

    with pytest.raises(ServiceError):
        await postgresql.write(work)
    with pytest.raises(ServiceError):
        await postgresql.read(work)


async def test_postgresql_when_a_lock_is_not_to_be_had_is_an_outage(
    postgresql: PostgresDatabase,
) -> None:
    held, done = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(tx: Connection) -> None:
        run(tx, "LOCK TABLE notes")
        loop.call_soon(held.set)
        while not done.is_set():
            run(tx, "SELECT pg_sleep(0.01)")

    def work(tx: Connection) -> None:
        run(tx, "SET LOCAL lock_timeout = '20ms'")
        put(tx, 1)

    async with asyncio.TaskGroup() as group:
        group.create_task(postgresql.write(hold))
        await held.wait()
        with pytest.raises(ServiceError):
            await postgresql.write(work)
        done.set()


async def test_postgresql_when_the_role_has_no_connection_left_is_an_outage(
    postgresql: PostgresDatabase, operator: PostgresDatabase, url: str
) -> None:
    await operator.write(lambda tx: run(tx, "CREATE ROLE guest LOGIN CONNECTION LIMIT 0"))
    guest = PostgresDatabase(url.replace("safelight@", "guest@"))
    with pytest.raises(ServiceError):
        await guest.read(lambda tx: tx.scalar(sa.text("SELECT 1")))
    await guest.close()
    await operator.write(lambda tx: run(tx, "DROP ROLE guest"))


async def test_postgresql_when_a_migration_changed_a_table_answers_at_once(
    postgresql: PostgresDatabase, operator: PostgresDatabase
) -> None:
    """A connection keeps the plans of its statements, which the server then refuses."""
    whole = sa.text("SELECT * FROM notes")
    for _ in range(2):
        await asyncio.gather(*(postgresql.read(lambda tx: tx.execute(whole).all()) for _ in "12"))
    await postgresql.write(lambda tx: run(tx, "ALTER TABLE notes ADD COLUMN more int"))
    for _ in range(3):
        assert await postgresql.read(lambda tx: tx.execute(whole).all()) == []


@pytest.mark.parametrize(
    "mistake",
    ["SELEC 1", "SELECT * FROM nowhere", "INSERT INTO notes VALUES (1), (1)", "SELECT 1/0"],
)
async def test_postgresql_when_what_was_asked_is_wrong_says_so(
    postgresql: PostgresDatabase, mistake: str
) -> None:
    with pytest.raises(DBAPIError):
        await postgresql.write(lambda tx: run(tx, mistake))


async def test_postgresql_when_a_value_is_of_another_type_says_so(
    postgresql: PostgresDatabase,
) -> None:
    with pytest.raises(DBAPIError):
        await postgresql.write(lambda tx: tx.execute(sa.insert(notes).values(id="one")))
    many = sa.text("SELECT " + ", ".join(f":v{number}" for number in range(32768)))
    with pytest.raises(DBAPIError):
        await postgresql.read(
            lambda tx: tx.execute(many, {f"v{number}": "" for number in range(32768)})
        )


# --- SQLite ----------------------------------------------------------------------------------


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(f"sqlite:///{tmp_path / 'one.db'}", busy_wait=MOMENT)
    await opened.write(metadata.create_all)
    yield opened
    await opened.close()


async def test_sqlite_when_another_process_holds_it_for_too_long_is_an_outage_for_all_who_write(
    sqlite: SqliteDatabase, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "one.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    slow = SqliteDatabase(sqlite.url, busy_wait=timedelta(seconds=0.5))
    async with asyncio.timeout(20):  # where each waits its own time, they take 50 s
        answers = await asyncio.gather(
            *(slow.write(lambda tx, n=n: put(tx, n)) for n in range(100)), return_exceptions=True
        )
    assert {type(answer) for answer in answers} == {ServiceError}
    await slow.close()
    with pytest.raises(ServiceError):
        await sqlite.write(lambda tx: put(tx, 1))
    other.execute("COMMIT")
    assert await sqlite.write(lambda tx: put(tx, 1)) == 1
    other.close()


async def test_sqlite_when_it_takes_no_writes_is_an_outage(sqlite: SqliteDatabase) -> None:
    await sqlite.write(lambda tx: run(tx, "PRAGMA query_only=ON"))
    with pytest.raises(ServiceError):
        await sqlite.write(lambda tx: put(tx, 1))
    await sqlite.read(lambda tx: run(tx, "PRAGMA query_only=OFF"))
    assert await sqlite.write(lambda tx: put(tx, 1)) == 1


async def test_sqlite_when_its_file_cannot_be_opened_is_an_outage(tmp_path: Path) -> None:
    away = SqliteDatabase(f"sqlite:///{tmp_path / 'none' / 'one.db'}")
    with pytest.raises(ServiceError):
        await away.write(lambda tx: put(tx, 1))
    with pytest.raises(ServiceError):
        await away.read(numbers)
    await away.close()


async def test_sqlite_when_its_file_is_damaged_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "one.db").write_bytes(b"no database at all " * 1000)
    damaged = SqliteDatabase(f"sqlite:///{tmp_path / 'one.db'}")
    with pytest.raises(ServiceError):
        await damaged.read(numbers)
    await damaged.close()


async def test_sqlite_when_its_disk_is_full_says_so_to_readers_as_well(
    sqlite: SqliteDatabase,
) -> None:
    """A sort may need room on the disk."""

    def fill(tx: Connection) -> None:
        run(tx, "PRAGMA max_page_count=1")
        run(tx, "CREATE TABLE more (id int)")

    with pytest.raises(StorageFull):
        await sqlite.read(fill)


@pytest.mark.parametrize(
    "mistake", ["SELEC 1", "SELECT * FROM nowhere", "INSERT INTO notes VALUES (1), (1)"]
)
async def test_sqlite_when_what_was_asked_is_wrong_says_so(
    sqlite: SqliteDatabase, mistake: str
) -> None:
    with pytest.raises(DBAPIError):
        await sqlite.write(lambda tx: run(tx, mistake))
