"""Rows of deleted assets that can be restored."""

from collections.abc import Mapping, Sequence
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
from safelight.json_object import JsonObject

_TIMES = ("created_at", "expires_at")


@dataclass(frozen=True, slots=True)
class Trashed:
    """A row of `trash`: a deleted asset with its objects' current keys."""

    asset: Asset
    deleted_at: datetime
    purge_at: datetime


def put(
    tx: Connection, asset: Asset, moves: Mapping[str, str], note: str, *, kept: timedelta
) -> bool:
    """Move an asset to the trash; the copies of its objects are noted as `note`.

    Returns False if the asset has changed meanwhile; the copies are then left to the sweep.
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
    """Return up to `limit` rows of an account with ids below `before`, newest first."""
    columns = (trash.c.account_id, trash.c.asset_id)
    wanted = newest(tx, columns, [(account_id,)], before=before, limit=limit)
    query = sa.select(trash).where(among(tx, trash.c.asset_id, wanted))
    query = query.order_by(trash.c.asset_id.desc())
    return [_to_trashed(row) for row in tx.execute(query).mappings()]


def get(tx: Connection, account_id: str, asset_id: str) -> Trashed | None:
    """Return one row of the account, or None."""
    query = sa.select(trash).where(trash.c.asset_id == asset_id, trash.c.account_id == account_id)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_trashed(row)


def purged_at(tx: Connection, asset_ids: Sequence[str]) -> datetime | None:
    """Return when the first of these assets is purged; None if none is in the trash."""
    query = sa.select(sa.func.min(trash.c.purge_at)).where(trash.c.asset_id.in_(asset_ids))
    return tx.scalar(query)


def overdue(tx: Connection, *, limit: int) -> list[Trashed]:
    """Return overdue rows whose account has no legal hold, the longest overdue first."""
    query = (
        sa.select(trash)
        .join(accounts, accounts.c.id == trash.c.account_id)
        .where(trash.c.purge_at <= now(), accounts.c.hold == "")
        .order_by(trash.c.purge_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=trash)
    )
    return [_to_trashed(row) for row in tx.execute(query).mappings()]


def of_account(tx: Connection, account_id: str, *, limit: int) -> list[Trashed]:
    """Lock and return up to `limit` rows of an account."""
    query = (
        sa.select(trash)
        .where(trash.c.account_id == account_id)
        .order_by(trash.c.asset_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_to_trashed(row) for row in tx.execute(query).mappings()]


def remove(tx: Connection, trashed: Trashed) -> bool:
    """Delete a row; its objects are left to the sweep. Returns False if it is gone already."""
    asset = trashed.asset
    if not _take_out(tx, asset.id):
        return False
    shared = asset.original_key if is_original(asset.original_key) else None
    object_ledger.let_go(tx, asset.id, asset.shown_keys, shared)
    return True


def restore(tx: Connection, trashed: Trashed, moves: Mapping[str, str], note: str) -> Asset | None:
    """Restore an asset under new keys, noted as `note`; None if it is gone already."""
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


def _plain(row: Mapping[str, Any]) -> JsonObject:
    """Return a row as JSON values."""
    times = {name: row[name].isoformat() if row[name] else None for name in _TIMES}
    return {**row, **times}


def _to_trashed(row: RowMapping) -> Trashed:
    plain: JsonObject = row["row"]
    times = {name: datetime.fromisoformat(plain[name]) if plain[name] else None for name in _TIMES}
    asset = store.to_asset({**plain, **times})
    return Trashed(asset, row["deleted_at"], row["purge_at"])
