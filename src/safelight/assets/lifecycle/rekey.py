"""Copies an asset's served objects to new keys; the caller updates the row."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from safelight import ids
from safelight.assets import object_ledger
from safelight.assets.object_ledger import Note
from safelight.db.engine import Database
from safelight.storage.storage import Storage


class Rekeyer:
    """Copies objects to new keys, noting them first."""

    def __init__(self, database: Database, storage: Storage, scratch: Path) -> None:
        self._db = database
        self._storage = storage
        self._scratch = scratch

    async def __call__(self, account_id: str, moves: Mapping[str, str]) -> str:
        """Copy each object from its old to its new key; return the note of the new ones.

        The copies are removed again unless a row claims them with that note. Raises `NotFound` if
        an object no longer exists.
        """
        note = Note(ids.new("asset"), account_id, list(moves.values()))
        await self._db.write(lambda tx: object_ledger.note_all(tx, [note]))
        with TemporaryDirectory(dir=self._scratch, prefix="copying-") as folder:
            path = Path(folder, "object")
            for old, new in moves.items():  # a handful
                await self._storage.copy_to(old, path)
                await self._storage.put(new, path)
        return note.asset_id
