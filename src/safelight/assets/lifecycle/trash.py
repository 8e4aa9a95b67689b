"""The trash: deleted assets are hidden at once, can be restored for a while, then are purged.

URLs of a deleted asset stop working at once: its objects are copied to keys that are never served,
and the old ones are removed. A restored asset has new URLs.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from safelight import audit, events
from safelight.assets import store
from safelight.assets.asset import Asset
from safelight.assets.keys import restored_key, trash_key
from safelight.assets.lifecycle import trash_store
from safelight.assets.lifecycle.rekey import Rekeyer
from safelight.assets.lifecycle.trash_store import Trashed
from safelight.assets.service import Assets
from safelight.audit import RETENTION, NewLine
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound

_PURGED_AT_ONCE = 100
_UNKNOWN = "There is no such asset in the trash."


class Trash:
    """Deleted assets, kept for `kept`; if that is zero, deletion is permanent."""

    def __init__(
        self, database: Database, assets: Assets, copying: Rekeyer, *, kept: timedelta
    ) -> None:
        self._db = database
        self._assets = assets
        self._copying = copying
        self._kept = kept

    async def put(
        self, account_id: str, asset_id: str, *, actor: str, now: bool = False
    ) -> datetime | None:
        """Delete an asset, permanently if `now` or if the trash is disabled.

        Returns the time until which it can be restored. Raises `OnHold`.
        """
        asset = await self._assets.get(account_id, asset_id)
        if now or not self._kept:
            await self._assets.delete(account_id, asset_id, actor=actor)
            return None
        return await self.keep_back([asset], actor=actor)

    async def keep_back(self, found: Sequence[Asset], *, actor: str) -> datetime | None:
        """Move assets to the trash, if it is enabled: all of them, or none.

        Returns the time until which all can be restored; None if none can. Raises `OnHold`.
        """
        if not self._kept:
            return None
        await self._db.read(lambda tx: store.check_free(tx, found))
        for asset in found:
            await self._put(asset, actor)
        await self._assets.sweep()
        names = [asset.id for asset in found]
        return await self._db.read(lambda tx: trash_store.purged_at(tx, names))

    async def _put(self, asset: Asset, actor: str) -> None:
        moves = {key: trash_key(key) for key in asset.shown_keys}
        note = await self._copying(asset.account_id, moves)
        line = NewLine(asset.account_id, actor, "asset.deleted", asset.id, {"name": asset.name})

        def write(tx: Connection) -> None:
            store.check_free(tx, [asset], lock=True)
            if trash_store.put(tx, asset, moves, note, kept=self._kept):
                audit.append(tx, [line])

        await self._db.write(write)

    async def page(self, account_id: str, *, before: str | None, limit: int) -> list[Trashed]:
        """Return the account's restorable assets, newest first."""
        return await self._db.read(
            lambda tx: trash_store.page(tx, account_id, before=before, limit=limit)
        )

    async def restore(self, account_id: str, asset_id: str, *, actor: str) -> Asset:
        """Restore an asset with all its data, under new URLs."""
        trashed = await self._get(account_id, asset_id)
        moves = {key: restored_key(key) for key in trashed.asset.shown_keys}
        note = await self._copying(account_id, moves)
        line = NewLine(account_id, actor, "asset.restored", asset_id)

        def write(tx: Connection) -> Asset | None:
            back = trash_store.restore(tx, trashed, moves, note)
            if back is not None:
                audit.append(tx, [line])
            return back

        back = await self._db.write(write)
        await self._assets.sweep()
        return back or await self._assets.get(account_id, asset_id)

    async def purge(self, account_id: str, asset_id: str, *, actor: str) -> None:
        """Delete an asset in the trash permanently; raise `OnHold`."""
        trashed = await self._get(account_id, asset_id)

        def write(tx: Connection) -> None:
            store.check_free(tx, [trashed.asset], lock=True)
            _purge(tx, [trashed], actor)

        await self._db.write(write)
        await self._assets.sweep()

    async def purge_overdue(self) -> int:
        """Delete overdue assets in the trash permanently, up to a hundred; return how many."""

        def write(tx: Connection) -> int:
            found = trash_store.overdue(tx, limit=_PURGED_AT_ONCE)
            _purge(tx, found, RETENTION)
            return len(found)

        return await self._db.write(write)

    async def purge_all(self, account_id: str, *, limit: int) -> int:
        """Delete up to `limit` assets of a deleted account permanently; return how many."""

        def write(tx: Connection) -> int:
            found = trash_store.of_account(tx, account_id, limit=limit)
            _purge(tx, found, RETENTION)
            events.remove(tx, [each.asset.id for each in found])
            return len(found)

        return await self._db.write(write)

    async def _get(self, account_id: str, asset_id: str) -> Trashed:
        found = await self._db.read(lambda tx: trash_store.get(tx, account_id, asset_id))
        if found is None:
            raise NotFound(_UNKNOWN)
        return found


def _purge(tx: Connection, found: list[Trashed], actor: str) -> None:
    gone = [each.asset for each in found if trash_store.remove(tx, each)]
    audit.append(tx, [NewLine(asset.account_id, actor, "asset.purged", asset.id) for asset in gone])
