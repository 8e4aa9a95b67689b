"""The rows of assets."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeEngine

from safelight import events
from safelight.assets.asset import Asset, AssetKind
from safelight.db.given import Given
from safelight.db.tables import assets
from safelight.db.types import now
from safelight.events import NewEvent

# What is known of a new asset; what a row lacks is empty.
_NEW: dict[str, type[TypeEngine[Any]]] = {
    "id": sa.Text,
    "account_id": sa.Text,
    "job_id": sa.Text,
    "position": sa.Integer,
    "kind": sa.Text,
    "name": sa.Text,
    "key": sa.Text,
    "original_key": sa.Text,
    "media_type": sa.Text,
    "bytes": sa.BigInteger,
    "width": sa.Integer,
    "height": sa.Integer,
    "sha256": sa.Text,
    "placeholder": sa.Text,
    "facts": sa.JSON,
    "renditions": sa.JSON,
    "source_url": sa.Text,
    "prompt": sa.Text,
    "model": sa.Text,
    "provider": sa.Text,
}


_ROWS = Given(**_NEW)


@cache
def _inserting(dialect: str) -> ReturningInsert[Any]:
    new = _ROWS.table(dialect)
    values = {name: new.c[name] for name in _NEW} | {
        "position": sa.func.coalesce(new.c.position, 0),
        "created_at": now(),
    }
    for name in ("name", "source_url", "prompt", "model", "provider"):
        values[name] = sa.func.coalesce(new.c[name], "")
    return (
        sa.insert(assets).from_select(list(values), sa.select(*values.values())).returning(assets)
    )


def insert(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Asset]:
    """Write new assets, each with its event, and return them in the same order."""
    if not rows:
        return []
    written = tx.execute(_inserting(tx.dialect.name), _ROWS.bind(tx, rows)).mappings()
    found = {row["id"]: _to_asset(row) for row in written}
    made = [found[row["id"]] for row in rows]
    events.append(tx, [_event(asset, "asset.created", 1) for asset in made])
    return made


def get(tx: Connection, account_id: str, asset_id: str) -> Asset | None:
    """Return the account's asset."""
    query = sa.select(assets).where(assets.c.id == asset_id, assets.c.account_id == account_id)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_asset(row)


def of_jobs(tx: Connection, job_ids: Iterable[str]) -> dict[str, list[Asset]]:
    """Return the outputs of several jobs, each in order."""
    found: dict[str, list[Asset]] = {}
    query = (
        sa.select(assets)
        .where(assets.c.job_id.in_(list(job_ids)))
        .order_by(assets.c.job_id, assets.c.position)
    )
    for row in tx.execute(query).mappings():
        found.setdefault(row["job_id"], []).append(_to_asset(row))
    return found


def page(
    tx: Connection, account_id: str, *, kind: AssetKind | None, before: str | None, limit: int
) -> list[Asset]:
    """Return up to `limit` of the account's assets older than id `before`, newest first."""
    query = sa.select(assets).where(assets.c.account_id == account_id)
    if kind is not None:
        query = query.where(assets.c.kind == kind)
    if before:
        query = query.where(assets.c.id < before)
    query = query.order_by(assets.c.id.desc()).limit(limit)
    return [_to_asset(row) for row in tx.execute(query).mappings()]


def delete(tx: Connection, found: Sequence[Asset]) -> list[str]:
    """Remove rows; return the storage keys that nothing refers to any more."""
    tx.execute(sa.delete(assets).where(assets.c.id.in_([asset.id for asset in found])))
    events.append(tx, [_event(asset, "asset.deleted", 2) for asset in found])
    originals = {asset.original_key for asset in found}
    still = set(
        tx.scalars(
            sa.select(assets.c.original_key).where(assets.c.original_key.in_(originals)).distinct()
        )
    )
    return [key for asset in found for key in asset.public_keys] + sorted(originals - still)


def _event(asset: Asset, kind: str, seq: int) -> NewEvent:
    """Return the news of an asset: it has two in its life, so their numbers need no counter."""
    return NewEvent(
        account_id=asset.account_id,
        subject=asset.id,
        seq=seq,
        type=kind,
        data={"kind": asset.kind.value, "job_id": asset.job_id, "name": asset.name},
    )


def _to_asset(row: RowMapping) -> Asset:
    fields: dict[str, Any] = {**row}
    fields["kind"] = AssetKind(row["kind"])
    return Asset(**fields)
