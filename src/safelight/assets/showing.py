"""Moves what an asset shows to where others may see it, or to where they no longer can.

Addresses of public objects are known and kept by caches for good, so that only other keys make an
asset private: its objects are copied to new ones, the row is told, and the old ones go.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from safelight import ids
from safelight.assets import keeping, store
from safelight.assets.asset import Asset
from safelight.assets.keeping import Note
from safelight.assets.keys import Visibility, moved_key
from safelight.assets.service import Assets
from safelight.db.engine import Database
from safelight.errors import NotFound, ShowsNothing
from safelight.storage.storage import Storage


class Showing:
    """Who sees what is kept; each call names the account that asks."""

    def __init__(self, database: Database, storage: Storage, assets: Assets, scratch: Path) -> None:
        self._db = database
        self._storage = storage
        self._assets = assets
        self._scratch = scratch

    async def change(self, account_id: str, asset_id: str, visibility: Visibility) -> Asset:
        """Make an asset public or private, and what was made of it go; return it as it is then.

        What fails on the way leaves it as it was.
        """
        asset = await self._assets.get(account_id, asset_id)
        if asset.key is None:
            raise ShowsNothing
        if asset.visibility is visibility:
            return asset
        moves = {key: moved_key(key, visibility) for key in asset.shown_keys}
        note = Note(ids.new("asset"), account_id, list(moves.values()))
        await self._db.write(lambda tx: keeping.note_all(tx, [note]))
        try:
            await self._copy(moves)
        except NotFound:
            # Somebody else was quicker, and what was shown has gone: what they made of it stands.
            return await self._assets.get(account_id, asset_id)
        moved = await self._db.write(lambda tx: store.move(tx, asset, moves, note.asset_id))
        await self._assets.sweep()
        return moved or await self._assets.get(account_id, asset_id)

    async def _copy(self, moves: Mapping[str, str]) -> None:
        with TemporaryDirectory(dir=self._scratch, prefix="showing-") as folder:
            path = Path(folder, "object")
            for old, new in moves.items():  # a handful
                await self._storage.copy_to(old, path)
                await self._storage.put(new, path)
