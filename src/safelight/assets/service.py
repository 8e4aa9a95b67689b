"""Operations on assets: find, read, annotate, hold, delete, clean up."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safelight import audit, events
from safelight.assets import object_ledger, search, store
from safelight.assets.asset import Asset, NewAsset
from safelight.assets.index.terms import Filter
from safelight.assets.keys import is_public
from safelight.assets.search import Facets
from safelight.audit import RETENTION, NewLine
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound
from safelight.storage.cdn import Cdn, NoCdn
from safelight.storage.storage import Storage

_SWEPT_AT_ONCE = 200
_MOST_VALUES = 50  # per facet
_UNKNOWN = "There is no such asset."


class Assets:
    """Assets; every call names the requesting account."""

    def __init__(self, database: Database, storage: Storage, cdn: Cdn | None = None) -> None:
        self._db = database
        self._storage = storage
        self._cdn = cdn or NoCdn()

    async def add(self, row: NewAsset) -> Asset:
        """Insert the row of an asset whose bytes the intake has stored."""
        return (await self._db.write(lambda tx: store.insert(tx, [row])))[0]

    # --- look and change ---------------------------------------------------------------------

    async def get(self, account_id: str, asset_id: str) -> Asset:
        """Return the account's asset; raise `NotFound`."""
        asset = await self._db.read(lambda tx: store.get(tx, account_id, asset_id))
        if asset is None:
            raise NotFound(_UNKNOWN)
        return asset

    async def page(
        self, account_id: str, wanted: Filter, *, before: int | None, limit: int
    ) -> list[Asset]:
        """Return the account's matching assets with numbers below `before`, newest first."""
        return await self._db.read(
            lambda tx: search.page(tx, account_id, wanted, before=before, limit=limit)
        )

    async def facets(self, account_id: str, wanted: Filter, names: Sequence[str]) -> Facets:
        """Count the values of `names` among the matching assets."""
        return await self._db.read(
            lambda tx: search.facets(tx, account_id, wanted, names, most=_MOST_VALUES)
        )

    async def similar(
        self, account_id: str, asset_id: str, *, distance: int, limit: int
    ) -> list[tuple[Asset, int]]:
        """Return pictures similar to the asset, nearest first, with the count of differing bits."""
        asset = await self.get(account_id, asset_id)
        return await self._db.read(
            lambda tx: search.similar(tx, asset, distance=distance, limit=limit)
        )

    async def change(self, account_id: str, asset_id: str, values: Mapping[str, Any]) -> Asset:
        """Update the owner's annotations of an asset; `values` are columns."""
        if not values:
            return await self.get(account_id, asset_id)
        asset = await self._db.write(lambda tx: store.change(tx, account_id, asset_id, values))
        if asset is None:
            raise NotFound(_UNKNOWN)
        return asset

    async def delete(self, account_id: str, asset_id: str, *, actor: str) -> None:
        """Delete an asset's row, then its bytes unless another asset shares them.

        Raises `OnHold` if it is under legal hold.
        """
        asset = await self.get(account_id, asset_id)
        await self._db.write(lambda tx: store.delete(tx, [asset], actor=actor))
        await self.sweep()

    async def hold(self, account_id: str, asset_id: str, reason: str, *, actor: str) -> Asset:
        """Put an asset under legal hold, or release it with an empty `reason`."""
        action = "asset.held" if reason else "asset.released"
        line = NewLine(account_id, actor, action, asset_id, {"reason": reason})

        def write(tx: Connection) -> Asset | None:
            held = store.change(tx, account_id, asset_id, {"hold": reason})
            if held is not None:
                audit.append(tx, [line])
            return held

        held = await self._db.write(write)
        if held is None:
            raise NotFound(_UNKNOWN)
        return held

    async def copy_original(self, asset: Asset, target: Path) -> None:
        """Write the original bytes to a file."""
        await self._storage.copy_to(asset.original_key, target)

    # --- clean up ----------------------------------------------------------------------------

    async def give_up(self, asset_ids: Sequence[str]) -> None:
        """Remove the objects of assets that will get no row."""
        await self._db.write(lambda tx: object_ledger.give_up(tx, asset_ids))
        await self.sweep()

    async def expire(self) -> int:
        """Remove expired assets, up to some hundreds; return how many."""

        def write(tx: Connection) -> int:
            found = store.expired(tx, limit=_SWEPT_AT_ONCE)
            store.delete(tx, found, actor=RETENTION)
            return len(found)

        return await self._db.write(write)

    async def delete_all(self, account_id: str, *, limit: int) -> int:
        """Delete up to `limit` assets of a deleted account, and their events; return how many."""

        def write(tx: Connection) -> int:
            found = store.of_account(tx, account_id, limit=limit)
            store.delete(tx, found, actor=RETENTION)
            events.remove(tx, [asset.id for asset in found])
            return len(found)

        return await self._db.write(write)

    async def sweep(self) -> int:
        """Remove unreferenced objects, up to some hundreds; return how many.

        Objects orphaned by a crash are found here later, by any process.
        """
        await self._db.write(lambda tx: object_ledger.release(tx, limit=_SWEPT_AT_ONCE))
        found = await self._db.write(
            lambda tx: object_ledger.begin_removal(tx, limit=_SWEPT_AT_ONCE)
        )
        keys = [key for each in found for key in each.keys]
        if found:
            await self._storage.delete(keys)
            await self._cdn.forget([key for key in keys if is_public(key)])
            await self._db.write(lambda tx: object_ledger.end_removal(tx, found))
        return len(keys)
