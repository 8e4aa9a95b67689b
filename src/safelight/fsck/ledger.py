"""Compares two long lists of keys on disk, with bounded memory."""

import sqlite3
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from safelight.fsck.store import Named
from safelight.storage.storage import Stored

_SCHEMA = """
    CREATE TABLE stored (key TEXT PRIMARY KEY, bytes INTEGER, modified REAL) WITHOUT ROWID;
    CREATE TABLE named (key TEXT PRIMARY KEY, role TEXT, owner TEXT) WITHOUT ROWID;
"""
_ORPHANS = """
    SELECT key, bytes FROM stored WHERE modified < ? AND key NOT IN (SELECT key FROM named)
"""
_DANGLING = """
    SELECT key, role, owner FROM named
    WHERE role <> '' AND key NOT IN (SELECT key FROM stored) ORDER BY owner
"""


class Ledger:
    """The keys in storage, and the keys that rows name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def stored(self, found: Iterable[Stored]) -> None:
        """Add objects in storage."""
        rows = [(one.key, one.bytes, one.modified_at.timestamp()) for one in found]
        self._db.executemany("INSERT OR REPLACE INTO stored VALUES (?, ?, ?)", rows)

    def named(self, found: Iterable[Named]) -> None:
        """Add keys that rows name; for a repeated key, a row that requires the object wins."""
        rows = [(one.key, one.role or "", one.owner) for one in found]
        self._db.executemany(
            "INSERT INTO named VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET role = excluded.role, owner = excluded.owner WHERE excluded.role <> ''",
            rows,
        )

    def totals(self) -> tuple[int, int]:
        """Return the count and total bytes of objects in storage."""
        row = self._db.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM stored").fetchone()
        return int(row[0]), int(row[1])

    def orphans(self, before: datetime) -> Iterator[tuple[str, int]]:
        """Yield key and bytes of objects older than `before` that no row names."""
        yield from self._db.execute(_ORPHANS, (before.timestamp(),))

    def dangling(self) -> Iterator[tuple[str, str, str]]:
        """Yield key, role and owner of named but missing objects, sorted by owner."""
        yield from self._db.execute(_DANGLING)


@contextmanager
def open_ledger(folder: Path) -> Generator[Ledger]:
    """Open an empty ledger in `folder`, for one thread at a time."""
    connection = sqlite3.connect(folder / "ledger.db", check_same_thread=False)
    try:
        connection.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {_SCHEMA}")
        yield Ledger(connection)
    finally:
        connection.close()
