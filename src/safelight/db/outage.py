"""Classifies driver errors: an unavailable database, or a bug in the query.

Unavailable means that the same request may succeed later: the database is unreachable, read-only,
full, overloaded, shut down or damaged. Everything else is a bug: a violated constraint, invalid
SQL, a value of the wrong type.
"""

import sqlite3

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from safelight.errors import ServiceError, StorageFull

CONFLICTS = frozenset({"40001", "40P01"})  # serialization failure, deadlock
READ_ONLY = "25006"
_DISK_FULL = "53100"
_AWAY = {
    *CONFLICTS,
    "40000",  # rolled back
    "40003",  # statement completion unknown
    READ_ONLY,
    "25P03",  # idle-in-transaction timeout
    "25P04",  # transaction timeout
    "55006",  # object in use
    "55P03",  # lock not available
}
_AWAY_CLASSES = {
    "08",  # connections
    "53",  # resources: disk, memory, connections
    "57",  # operator intervention: canceled, shut down, starting up
    "58",  # system errors: I/O
    "XX",  # internal errors, corrupted data
}
_SQLITE_AWAY = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOTADB,
}


def outage(error: BaseException) -> ServiceError | None:
    """Return the outage that `error` indicates; None if it indicates a bug."""
    driver_s = _unwrapped(error)
    if isinstance(driver_s, sqlite3.Error):
        found = _of_sqlite(driver_s)
    elif (code := sqlstate(driver_s)) is not None:
        found = _of_postgres(code)
    else:
        found = _without_code(driver_s)
    if found is None and isinstance(error, DBAPIError) and error.connection_invalidated:
        return ServiceError("The connection to the database broke.")
    return found


def sqlstate(error: BaseException | None) -> str | None:
    """Return the SQLSTATE of an error sent by PostgreSQL."""
    wrapped = error.orig if isinstance(error, DBAPIError) else error
    return getattr(wrapped, "sqlstate", None)


def sqlite_code(error: BaseException | None) -> int | None:
    """Return SQLite's primary result code of an error, without the extended code."""
    wrapped = error.orig if isinstance(error, DBAPIError) else error
    code: int | None = getattr(wrapped, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _unwrapped(error: BaseException) -> BaseException:
    """Return the driver's own error: SQLAlchemy wraps it once, and asyncpg's twice."""
    while isinstance(
        inner := getattr(error, "orig", None) or getattr(error, "driver_exception", None),
        BaseException,
    ):
        error = inner
    return error


def _of_postgres(code: str) -> ServiceError | None:
    if code == _DISK_FULL:
        return StorageFull("The database's disk is full.")
    if code in _AWAY or code[:2] in _AWAY_CLASSES:
        return ServiceError(f"The database is unavailable (SQLSTATE {code}).")
    return None


def _of_sqlite(error: sqlite3.Error) -> ServiceError | None:
    code = sqlite_code(error)
    if code == sqlite3.SQLITE_FULL:
        return StorageFull("The database's disk is full.")
    if code in _SQLITE_AWAY:
        return ServiceError(f"The database is unavailable ({error.sqlite_errorname}).")
    return None


def _without_code(error: BaseException) -> ServiceError | None:
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, NoFreeConnection):
        return ServiceError("All connections to the database are in use.")
    if isinstance(error, asyncpg.InterfaceError):
        # Invalid or too many parameters are not the connection's fault.
        ours = isinstance(error, ValueError) or "query arguments" in str(error)
        return None if ours else ServiceError("The connection to the database cannot be used.")
    if isinstance(error, asyncpg.InternalClientError | OSError | MemoryError):
        return ServiceError("The database does not answer.")
    return None
