"""Rows of assets, each with its entry in the search index."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeEngine

from safelight import audit, events
from safelight.assets import object_ledger
from safelight.assets.asset import Asset, AssetKind, NewAsset
from safelight.assets.derived import variant_store
from safelight.assets.errors import ObjectsSwept, OnHold
from safelight.assets.index import index, terms
from safelight.assets.keys import is_original
from safelight.audit import NewLine
from safelight.db.json_rows import JsonRows
from safelight.db.rows import from_row
from safelight.db.tables import accounts, asset_numbers, assets
from safelight.db.types import Instant, now
from safelight.events import NewEvent

# The columns of a new asset; missing values are empty.
_NEW: dict[str, type[TypeEngine[Any]]] = {
    "id": sa.Text,
    "account_id": sa.Text,
    "job_id": sa.Text,
    "position": sa.Integer,
    "kind": sa.Text,
    "name": sa.Text,
    "caption": sa.Text,
    "external_id": sa.Text,
    "tags": sa.JSON,
    "metadata": sa.JSON,
    "key": sa.Text,
    "original_key": sa.Text,
    "media_type": sa.Text,
    "bytes": sa.BigInteger,
    "width": sa.Integer,
    "height": sa.Integer,
    "sha256": sa.Text,
    "served_sha256": sa.Text,
    "placeholder": sa.Text,
    "perceptual_hash": sa.Text,
    "facts": sa.JSON,
    "renditions": sa.JSON,
    "source_url": sa.Text,
    "source_host": sa.Text,
    "prompt": sa.Text,
    "model": sa.Text,
    "provider": sa.Text,
    "expires_at": Instant,
}
_EMPTY = (
    "name",
    "caption",
    "external_id",
    "source_url",
    "source_host",
    "prompt",
    "model",
    "provider",
)


_UNSAID: Mapping[str, Any] = {"tags": [], "metadata": {}}
_ROWS = JsonRows(**_NEW)


@cache
def _insert_statement(dialect: str) -> ReturningInsert[Any]:
    new = _ROWS.table(dialect)
    values = {name: new.c[name] for name in _NEW} | {
        "number": _next_number(dialect),
        "position": sa.func.coalesce(new.c.position, 0),
        "created_at": now(),
    }
    for name in _EMPTY:
        values[name] = sa.func.coalesce(new.c[name], "")
    return (
        sa.insert(assets).from_select(list(values), sa.select(*values.values())).returning(assets)
    )


def next_numbers(tx: Connection, count: int) -> list[int]:
    """Return `count` numbers for assets about to be inserted, ascending."""
    if tx.dialect.name == "postgresql":
        each = sa.select(asset_numbers.next_value()).select_from(
            sa.func.generate_series(1, count).alias("each")
        )
        return sorted(tx.scalars(each))
    newest = tx.execute(sa.select(sa.func.coalesce(sa.func.max(assets.c.number), 0))).scalar_one()
    return list(range(newest + 1, newest + 1 + count))


def _next_number(dialect: str) -> sa.ColumnElement[int]:
    if dialect == "postgresql":
        return asset_numbers.next_value()
    # SQLite has a single writer, so the number cannot be taken concurrently.
    newest = sa.select(sa.func.coalesce(sa.func.max(assets.c.number), 0)).scalar_subquery()
    return newest + sa.func.row_number().over()


def insert(tx: Connection, rows: Sequence[NewAsset]) -> list[Asset]:
    """Insert new assets with their events, and return them in the same order.

    Their objects must be stored and noted. Raises `ObjectsSwept` if a row comes so late that its
    bytes have been removed.
    """
    if not rows:
        return []
    if swept(tx, rows):
        raise ObjectsSwept
    complete = [{**_UNSAID, **row} for row in rows]
    written = tx.execute(_insert_statement(tx.dialect.name), _ROWS.bind(tx, complete)).mappings()
    found = {row["id"]: to_asset(row) for row in written}
    made = [found[row["id"]] for row in rows]
    index.add(tx, [_entry(asset) for asset in made])
    events.append(tx, [_event(asset, "asset.created", 1) for asset in made])
    return made


def swept(tx: Connection, rows: Sequence[NewAsset]) -> bool:
    """Claim the objects of new rows; return whether any are gone."""
    shared = [key for row in rows if (key := row["original_key"]) and is_original(key)]
    public = [row["id"] for row in rows if row["key"]]
    return bool(object_ledger.swept(tx, public, shared))


def get(tx: Connection, account_id: str, asset_id: str) -> Asset | None:
    """Return the account's asset, or None."""
    query = sa.select(assets).where(assets.c.id == asset_id, assets.c.account_id == account_id)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else to_asset(row)


def of_jobs(tx: Connection, job_ids: Iterable[str]) -> dict[str, list[Asset]]:
    """Return the outputs of several jobs, in order of position."""
    found: dict[str, list[Asset]] = {}
    query = (
        sa.select(assets)
        .where(assets.c.job_id.in_(list(job_ids)))
        .order_by(assets.c.job_id, assets.c.position)
    )
    for row in tx.execute(query).mappings():
        found.setdefault(row["job_id"], []).append(to_asset(row))
    return found


def change(
    tx: Connection, account_id: str, asset_id: str, values: Mapping[str, Any]
) -> Asset | None:
    """Update the caller's annotations of an asset, and reindex it."""
    statement = (
        sa.update(assets)
        .where(assets.c.id == asset_id, assets.c.account_id == account_id)
        .values(**values)
        .returning(assets)
    )
    row = tx.execute(statement).mappings().one_or_none()
    if row is None:
        return None
    asset = to_asset(row)
    index.remove(tx, [asset.number])
    index.add(tx, [_entry(asset)])
    return asset


def index_again(tx: Connection, asset_ids: Iterable[str]) -> None:
    """Add assets that are missing in the search index."""
    query = sa.select(assets).where(assets.c.id.in_(list(asset_ids)))
    index.add(tx, [_entry(to_asset(row)) for row in tx.execute(query).mappings()])


def expired(tx: Connection, *, limit: int) -> list[Asset]:
    """Return expired assets without a legal hold, the longest overdue first."""
    query = (
        sa.select(assets)
        .join(accounts, accounts.c.id == assets.c.account_id)
        .where(assets.c.expires_at <= now(), assets.c.hold == "", accounts.c.hold == "")
        .order_by(assets.c.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=assets)
    )
    return [to_asset(row) for row in tx.execute(query).mappings()]


def of_account(tx: Connection, account_id: str, *, limit: int) -> list[Asset]:
    """Lock and return up to `limit` assets of an account that are not under legal hold."""
    query = (
        sa.select(assets)
        .where(assets.c.account_id == account_id, assets.c.hold == "")
        .order_by(assets.c.number)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [to_asset(row) for row in tx.execute(query).mappings()]


def delete(tx: Connection, found: Sequence[Asset], *, actor: str) -> None:
    """Delete rows; objects that only they named are left to the next sweep.

    Raises `OnHold` if one of them is under legal hold; then all stay.
    """
    if not found:
        return
    # Locked first: a variant derived between select and delete would orphan its object.
    check_free(tx, found, lock=True)
    asset_ids = [asset.id for asset in found]
    derived = variant_store.drop(tx, asset_ids)
    index.remove(tx, [asset.number for asset in found])
    tx.execute(sa.delete(assets).where(assets.c.id.in_(asset_ids)))
    for asset in found:
        keys = [*asset.shown_keys, *derived[asset.id]]
        shared = asset.original_key if is_original(asset.original_key) else None
        object_ledger.let_go(tx, asset.id, keys, shared)
    events.append(tx, [_event(asset, "asset.deleted", asset.seq + 1) for asset in found])
    audit.append(
        tx,
        [
            NewLine(asset.account_id, actor, "asset.deleted", asset.id, {"name": asset.name})
            for asset in found
        ],
    )


def move(tx: Connection, asset: Asset, moves: Mapping[str, str], note: str) -> Asset | None:
    """Switch an asset to new keys; the old objects and its variants are left to the sweep.

    The new objects are noted as `note`. Returns None if the asset has changed meanwhile; the new
    objects are then left to the sweep.
    """
    statement = (
        sa.update(assets)
        .where(assets.c.id == asset.id, assets.c.key == asset.key)
        .values(**_moved(asset, moves))
        .returning(assets)
    )
    row = tx.execute(statement).mappings().one_or_none()
    if row is None:
        object_ledger.give_up(tx, [note])
        return None
    _leave(tx, asset, moves, note)
    return to_asset(row)


def take(
    tx: Connection, asset: Asset, moves: Mapping[str, str], note: str
) -> dict[str, Any] | None:
    """Delete an asset's row and return it, with its objects' new keys.

    Its original stays. Returns None if the asset has changed meanwhile, as in `move`.
    """
    is_same = assets.c.key.is_not_distinct_from(asset.key)
    same = sa.select(assets).where(assets.c.id == asset.id, is_same).with_for_update()
    row = tx.execute(same).mappings().one_or_none()
    if row is None:
        object_ledger.give_up(tx, [note])
        return None
    _leave(tx, asset, moves, note)  # its variants go with the row, and their keys must be noted
    tx.execute(sa.delete(assets).where(assets.c.id == asset.id))
    index.remove(tx, [asset.number])
    events.append(tx, [_event(asset, "asset.deleted", row["seq"] + 1)])
    return {**row, **_moved(to_asset(row), moves), "seq": row["seq"] + 1}


def put_back(tx: Connection, asset: Asset, moves: Mapping[str, str], job_id: str | None) -> Asset:
    """Reinsert a row removed by `take`, with its objects' new keys.

    It no longer expires, because its time may have passed, and becomes the newest.
    """
    taken = {each.name: getattr(asset, each.name) for each in fields(asset)}
    (number,) = next_numbers(tx, 1)
    news = {"number": number, "job_id": job_id, "expires_at": None, "seq": asset.seq + 1}
    row = taken | _moved(asset, moves) | news
    written = tx.execute(sa.insert(assets).values(**row).returning(assets)).mappings().one()
    back = to_asset(written)
    index.add(tx, [_entry(back)])
    events.append(tx, [_event(back, "asset.restored", back.seq)])
    return back


def _moved(asset: Asset, moves: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns of an asset with new keys."""
    return {
        "key": moves[asset.key] if asset.key else None,
        "original_key": moves.get(asset.original_key, asset.original_key),
        "renditions": {
            name: {**each, "key": moves[each["key"]]} for name, each in asset.renditions.items()
        },
    }


def _leave(tx: Connection, asset: Asset, moves: Mapping[str, str], note: str) -> None:
    """Claim the new objects, and leave the old ones and all variants to the sweep."""
    if not moves:
        return  # an input, which has only its original
    if object_ledger.swept(tx, [note], ()):
        raise ObjectsSwept
    derived = variant_store.drop(tx, [asset.id])
    object_ledger.let_go(tx, note, [*moves, *derived[asset.id]], None)


def check_free(tx: Connection, found: Sequence[Asset], *, lock: bool = False) -> None:
    """Raise `OnHold` if one of these assets or its account is under legal hold.

    Reads the rows, because a hold may be newer than `found`; with `lock`, no hold can be added
    before the transaction ends. The audit log has the reason.
    """
    rows = sa.select(assets.c.id, assets.c.hold).where(assets.c.id.in_([one.id for one in found]))
    if lock:
        rows = rows.order_by(assets.c.id).with_for_update()
    for asset_id, reason in tx.execute(rows).all():
        if reason:
            raise OnHold(f"The asset {asset_id} is under legal hold.")
    check_owners_free(tx, {asset.account_id for asset in found}, lock=lock)


def check_owners_free(tx: Connection, owners: Collection[str], *, lock: bool = False) -> None:
    """Raise `OnHold` where nothing of one of these accounts may go; `lock` is as above."""
    held = sa.select(accounts.c.id, accounts.c.hold).where(accounts.c.id.in_(owners))
    if lock:
        held = held.order_by(accounts.c.id).with_for_update(read=True)
    for account_id, reason in tx.execute(held).all():
        if reason:
            raise OnHold(f"The account {account_id} is under legal hold.")


def check_account_free(tx: Connection, account_id: str) -> None:
    """Raise `OnHold` if an account, or any of its assets, is under legal hold."""
    check_owners_free(tx, [account_id], lock=True)
    held = sa.select(assets.c.id).where(assets.c.account_id == account_id, assets.c.hold != "")
    found = tx.scalar(held.limit(1))
    if found is not None:
        raise OnHold(f"The asset {found} of this account is under legal hold. Release it first.")


def _entry(asset: Asset) -> index.Entry:
    return index.Entry(asset.number, asset.account_id, terms.words_of(asset))


def _event(asset: Asset, kind: str, seq: int) -> NewEvent:
    """Return an event about an asset."""
    return NewEvent(
        account_id=asset.account_id,
        subject=asset.id,
        seq=seq,
        type=kind,
        data={"kind": asset.kind.value, "job_id": asset.job_id, "name": asset.name},
    )


def to_asset(row: RowMapping | Mapping[str, Any]) -> Asset:
    """Convert a row of `assets`."""
    return from_row(Asset, row, kind=AssetKind(row["kind"]))
