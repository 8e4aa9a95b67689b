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
    CREATE TABLE named (key TEXT PRIMARY KEY, role TEXT, owner TEXT, sha256 TEXT) WITHOUT ROWID;
"""
_ORPHANS = """
    SELECT key, bytes FROM stored WHERE modified < ? AND key NOT IN (SELECT key FROM named)
"""
_YOUNG = """
    SELECT count(*) FROM stored WHERE modified >= ? AND key NOT IN (SELECT key FROM named)
"""
_BOTH = "FROM named JOIN stored USING (key)"
_SUMMED = f"SELECT key, role, owner, sha256 {_BOTH} WHERE sha256 <> '' ORDER BY owner"
_UNSUMMED = f"SELECT count(*) {_BOTH} WHERE sha256 = ''"
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
        rows = [(one.key, one.role or "", one.owner, one.sha256) for one in found]
        self._db.executemany(
            "INSERT INTO named VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET role = excluded.role, owner = excluded.owner, sha256 = excluded.sha256 "
            "WHERE excluded.role <> ''",
            rows,
        )

    def totals(self) -> tuple[int, int]:
        """Return the count and total bytes of objects in storage."""
        row = self._db.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM stored").fetchone()
        return int(row[0]), int(row[1])

    def orphans(self, before: datetime) -> Iterator[tuple[str, int]]:
        """Yield key and bytes of objects older than `before` that no row names."""
        yield from self._db.execute(_ORPHANS, (before.timestamp(),))

    def young(self, since: datetime) -> int:
        """Return the count of unnamed objects from `since` on."""
        return int(self._db.execute(_YOUNG, (since.timestamp(),)).fetchone()[0])

    def summed(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield key, role, owner and SHA-256 of stored objects with a known checksum, by owner."""
        yield from self._db.execute(_SUMMED)

    def unsummed(self) -> int:
        """Return the count of named objects in storage without a known checksum."""
        return int(self._db.execute(_UNSUMMED).fetchone()[0])

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
