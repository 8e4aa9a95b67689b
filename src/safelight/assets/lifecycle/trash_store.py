"""The rows of assets that were deleted and can still be had back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from safelight.assets import object_ledger, store
from safelight.assets.asset import Asset
from safelight.assets.errors import ObjectsSwept
from safelight.assets.keys import is_original
from safelight.db.tables import accounts, jobs, trash
from safelight.db.types import now
from safelight.db.walks import among, newest

_TIMES = ("created_at", "expires_at")


@dataclass(frozen=True, slots=True)
class Trashed:
    """One row of `trash`: an asset under the keys that its objects have now."""

    asset: Asset
    deleted_at: datetime
    purge_at: datetime


def put(
    tx: Connection, asset: Asset, moves: Mapping[str, str], note: str, *, kept: timedelta
) -> bool:
    """Take an asset out of everybody's sight; its objects are noted under new keys as `note`.

    False where it is no longer what it was: then they are left to the sweep.
    """
    moved = store.take(tx, asset, moves, note)
    if moved is None:
        return False
    tx.execute(
        sa.insert(trash).values(
            asset_id=asset.id,
            account_id=asset.account_id,
            original_key=moved["original_key"],
            row=_plain(moved),
            deleted_at=now(),
            purge_at=now(kept),
        )
    )
    return True


def page(tx: Connection, account_id: str, *, before: str | None, limit: int) -> list[Trashed]:
    """Return up to `limit` of an account's with ids below `before`, newest first."""
    columns = (trash.c.account_id, trash.c.asset_id)
    wanted = newest(tx, columns, [(account_id,)], before=before, limit=limit)
    query = sa.select(trash).where(among(tx, trash.c.asset_id, wanted))
    query = query.order_by(trash.c.asset_id.desc())
    return [_to_trashed(row) for row in tx.execute(query).mappings()]


def get(tx: Connection, account_id: str, asset_id: str) -> Trashed | None:
    """Return one of the account's."""
    query = sa.select(trash).where(trash.c.asset_id == asset_id, trash.c.account_id == account_id)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_trashed(row)


def overdue(tx: Connection, *, limit: int) -> list[Trashed]:
    """Return those whose time is up and whose account is not held, the longest overdue first."""
    query = (
        sa.select(trash)
        .join(accounts, accounts.c.id == trash.c.account_id)
        .where(trash.c.purge_at <= now(), accounts.c.hold == "")
        .order_by(trash.c.purge_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=trash)
    )
    return [_to_trashed(row) for row in tx.execute(query).mappings()]


def remove(tx: Connection, trashed: Trashed) -> bool:
    """Forget one for good; its objects are left to the sweep. False where it has gone already."""
    asset = trashed.asset
    if not _take_out(tx, asset.id):
        return False
    shared = asset.original_key if is_original(asset.original_key) else None
    object_ledger.let_go(tx, asset.id, asset.shown_keys, shared)
    return True


def restore(tx: Connection, trashed: Trashed, moves: Mapping[str, str], note: str) -> Asset | None:
    """Bring an asset back under new keys, noted as `note`; None where it has gone already."""
    if not _take_out(tx, trashed.asset.id):
        object_ledger.give_up(tx, [note])
        return None
    if moves:
        if object_ledger.swept(tx, [note], ()):
            raise ObjectsSwept
        object_ledger.let_go(tx, note, list(moves), None)
    # Its job may have been deleted meanwhile.
    job_id = tx.scalar(sa.select(jobs.c.id).where(jobs.c.id == trashed.asset.job_id))
    return store.put_back(tx, trashed.asset, moves, job_id)


def _take_out(tx: Connection, asset_id: str) -> bool:
    return bool(tx.execute(sa.delete(trash).where(trash.c.asset_id == asset_id)).rowcount)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON can say it."""
    times = {name: row[name].isoformat() if row[name] else None for name in _TIMES}
    return {**row, **times}


def _to_trashed(row: RowMapping) -> Trashed:
    plain: dict[str, Any] = row["row"]
    times = {name: datetime.fromisoformat(plain[name]) if plain[name] else None for name in _TIMES}
    asset = store.to_asset({**plain, **times})
    return Trashed(asset, row["deleted_at"], row["purge_at"])
