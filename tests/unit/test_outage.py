"""Driver errors that are outages, by their codes; the rest are our own mistakes."""

import sqlite3

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from safelight.db.outage import outage
from safelight.errors import ServiceError, StorageFull

AWAY = """
    08000 08003 08006 08001 08004 08007 08P01 25006 25P03 25P04 40000 40001 40003 40P01
    53000 53200 53300 53400 55006 55P03 57000 57014 57P01 57P02 57P03 57P04 57P05 58000
    58030 58P01 XX000 XX001 XX002
""".split()  # noqa: SIM905  a table, not a list
OURS = """
    0A000 21000 22001 22003 22012 22P02 23502 23503 23505 23514 25001 25P02 26000 28000
    3D000 42501 42601 42703 42804 42P01 54000 P0001
""".split()  # noqa: SIM905  a table, not a list
SQLITE_AWAY = """
    SQLITE_BUSY SQLITE_BUSY_RECOVERY SQLITE_BUSY_SNAPSHOT SQLITE_CANTOPEN
    SQLITE_CANTOPEN_FULLPATH SQLITE_CORRUPT SQLITE_INTERRUPT SQLITE_IOERR SQLITE_IOERR_FSYNC
    SQLITE_IOERR_READ SQLITE_IOERR_SHMSIZE SQLITE_IOERR_WRITE SQLITE_LOCKED SQLITE_NOMEM
    SQLITE_LOCKED_SHAREDCACHE SQLITE_NOTADB SQLITE_PERM SQLITE_PROTOCOL SQLITE_READONLY
    SQLITE_READONLY_DBMOVED SQLITE_READONLY_DIRECTORY
""".split()  # noqa: SIM905  a table, not a list
SQLITE_OURS = """
    SQLITE_CONSTRAINT SQLITE_CONSTRAINT_UNIQUE SQLITE_ERROR SQLITE_MISMATCH SQLITE_MISUSE
    SQLITE_RANGE SQLITE_TOOBIG
""".split()  # noqa: SIM905  a table, not a list


def of_postgresql(code: str) -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": code, "M": "as the server says it"})


def of_sqlite(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError("as the library says it")
    error.sqlite_errorcode = getattr(sqlite3, name)
    error.sqlite_errorname = name
    return error


def wrapped(error: Exception, *, invalidated: bool = False) -> DBAPIError:
    return DBAPIError("SELECT 1", {}, error, connection_invalidated=invalidated)


@pytest.mark.parametrize("code", AWAY)
def test_postgresql_when_it_cannot_do_it_now_is_away(code: str) -> None:
    for error in (of_postgresql(code), wrapped(of_postgresql(code))):
        assert type(outage(error)) is ServiceError


@pytest.mark.parametrize("code", OURS)
def test_postgresql_when_it_refuses_what_was_asked_is_not_away(code: str) -> None:
    assert outage(wrapped(of_postgresql(code))) is None


@pytest.mark.parametrize("name", SQLITE_AWAY)
def test_sqlite_when_it_cannot_do_it_now_is_away(name: str) -> None:
    for error in (of_sqlite(name), wrapped(of_sqlite(name))):
        assert type(outage(error)) is ServiceError


@pytest.mark.parametrize("name", SQLITE_OURS)
def test_sqlite_when_it_refuses_what_was_asked_is_not_away(name: str) -> None:
    assert outage(wrapped(of_sqlite(name))) is None


def test_disk_when_full_is_said_as_such() -> None:
    assert isinstance(outage(wrapped(of_postgresql("53100"))), StorageFull)
    assert isinstance(outage(wrapped(of_sqlite("SQLITE_FULL"))), StorageFull)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InternalClientError("got result for unknown protocol state"),
        ConnectionResetError(),
        TimeoutError(),
        OSError("no route to host"),
        MemoryError(),
        NoFreeConnection(),
        wrapped(sqlite3.ProgrammingError("Cannot operate on a closed database."), invalidated=True),
    ],
    ids=repr,
)
def test_connection_when_it_cannot_be_used_is_an_outage(error: Exception) -> None:
    assert type(outage(error)) is ServiceError


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DataError("invalid input for query argument $1"),
        asyncpg.InterfaceError("the number of query arguments cannot exceed 32767"),
        wrapped(sqlite3.ProgrammingError("Error binding parameter 1: type 'X' is not supported")),
        LookupError(),
        ValueError(),
    ],
    ids=repr,
)
def test_mistake_when_the_driver_finds_it_is_no_outage(error: Exception) -> None:
    assert outage(error) is None
