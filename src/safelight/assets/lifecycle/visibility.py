"""Changes an asset's visibility by moving its objects to new keys.

URLs of public objects are known and cached forever, so only new keys can make an asset private: its
objects are copied to new keys, the row is updated, and the old ones are removed.
"""

from safelight import audit
from safelight.accounts.account import Visibility
from safelight.assets import store
from safelight.assets.asset import Asset
from safelight.assets.errors import ShowsNothing
from safelight.assets.keys import moved_key
from safelight.assets.lifecycle.rekey import Rekeyer
from safelight.assets.service import Assets
from safelight.audit import NewLine
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound


class VisibilitySwitch:
    """Changes who can see assets; every call names the requesting account."""

    def __init__(self, database: Database, assets: Assets, copying: Rekeyer) -> None:
        self._db = database
        self._assets = assets
        self._copying = copying

    async def change(
        self, account_id: str, asset_id: str, visibility: Visibility, *, actor: str
    ) -> Asset:
        """Make an asset public or private, drop its variants, and return the updated asset.

        A failure leaves the asset unchanged.
        """
        asset = await self._assets.get(account_id, asset_id)
        if asset.key is None:
            raise ShowsNothing
        if asset.visibility is visibility:
            return asset
        moves = {key: moved_key(key, visibility) for key in asset.shown_keys}
        try:
            note = await self._copying(account_id, moves)
        except NotFound:
            # A concurrent change has moved the objects; it wins.
            return await self._assets.get(account_id, asset_id)
        data = {"visibility": visibility.value}
        line = NewLine(account_id, actor, "asset.shown", asset_id, data)

        def write(tx: Connection) -> Asset | None:
            moved = store.move(tx, asset, moves, note)
            if moved is not None:
                audit.append(tx, [line])
            return moved

        moved = await self._db.write(write)
        await self._assets.sweep()
        return moved or await self._assets.get(account_id, asset_id)
