"""Prepares connections to a SQLite file."""

import sqlite3
import time
from datetime import timedelta

from safelight.db.outage import sqlite_code

_BUSY_PAUSE_S = 0.01


def prepare(connection: sqlite3.Connection, busy_wait: timedelta) -> None:
    """Set up a new connection, whose writes wait up to `busy_wait` for other processes."""
    connection.isolation_level = None  # we issue BEGIN and COMMIT
    connection.create_function("now_us", 0, lambda: time.time_ns() // 1000)
    connection.execute(f"PRAGMA busy_timeout={busy_wait // timedelta(milliseconds=1)}")
    _log_ahead(connection, busy_wait)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
        connection.execute(f"PRAGMA {pragma}")


def _log_ahead(connection: sqlite3.Connection, busy_wait: timedelta) -> None:
    """Switch to WAL, retrying while other processes do the same to a new database.

    The busy timeout does not apply to this switch, because waiting could deadlock.
    """
    deadline = time.monotonic() + busy_wait.total_seconds()
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if sqlite_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(_BUSY_PAUSE_S)  # noqa: TID251  on the database's own thread
