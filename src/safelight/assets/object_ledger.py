"""Keeps storage and database consistent: tracks unreferenced objects and originals in use.

Bytes and rows cannot be written atomically. So the keys of an asset are noted as loose before its
bytes are stored, the insert of its row removes them from that list, and a sweep removes the objects
that remain on it. Equal bytes share an original, which is reserved for a while before a row refers
to it. An expired reservation is checked: an original without assets becomes loose as well. Every
original gets a fresh key, so that returning bytes do not collide with an old copy being removed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight import ids
from safelight.assets.keys import original_key
from safelight.db.tables import HELD, assets, loose_objects, originals, trash
from safelight.db.types import now
from safelight.db.upsert import upsert

KEPT = timedelta(hours=1)
"""Maximum time between noting an asset's keys and inserting its row."""

_GOING = "going:"  # marks objects that a sweep is removing


@dataclass(frozen=True, slots=True)
class Note:
    """Objects about to be stored for an asset: served keys, and the hash of a private original."""

    asset_id: str
    account_id: str
    keys: Sequence[str] = ()
    sha256: str | None = None
    bytes: int = 0  # of the original


@dataclass(frozen=True, slots=True)
class Original:
    """An original's key, and whether its bytes are stored already."""

    key: str
    is_stored: bool


@dataclass(frozen=True, slots=True)
class Loose:
    """Stored objects without a row."""

    id: str
    keys: list[str]


def note_all(tx: Connection, notes: Sequence[Note]) -> list[Original | None]:
    """Record objects about to be stored; return each note's original, or None."""
    loose = [{"id": note.asset_id, "object_keys": list(note.keys)} for note in notes if note.keys]
    if loose:
        tx.execute(sa.insert(loose_objects).values(until=now(KEPT)), loose)
    # In a fixed order, because each locks its row: prevents deadlocks between writers.
    wanted = {(note.account_id, note.sha256): note.bytes for note in notes if note.sha256}
    reserved = {pair: _reserve(tx, *pair, size) for pair, size in sorted(wanted.items())}
    return [reserved[note.account_id, note.sha256] if note.sha256 else None for note in notes]


def _reserve(tx: Connection, account_id: str, sha256: str, size: int) -> Original:
    statement = (
        upsert(tx, originals)
        .values(
            account_id=account_id,
            sha256=sha256,
            key=original_key(account_id, sha256),
            bytes=size,
            held_until=now(KEPT),
        )
        .on_conflict_do_update(
            index_elements=[originals.c.account_id, originals.c.sha256],
            set_={"held_until": now(KEPT)},
        )
        .returning(originals.c.key)
    )
    key = tx.scalars(statement).one()
    # Bytes are stored before any row names them, so a row proves that they exist.
    return Original(key, bool(_shown(tx, [key])))


def swept(tx: Connection, asset_ids: Sequence[str], original_keys: Iterable[str]) -> set[str]:
    """Claim objects for rows; return ids and original keys whose bytes have been removed.

    From this transaction on, the others are no longer loose, and their originals are reserved.
    """
    gone = (
        sa.delete(loose_objects)
        .where(loose_objects.c.id.in_(asset_ids))
        .returning(loose_objects.c.id)
    )
    missing = set(asset_ids) - set(tx.scalars(gone))
    wanted = sorted(set(original_keys))
    if not wanted:
        return missing
    reserved = (
        sa.update(originals)
        .where(originals.c.key.in_(wanted))
        .values(held_until=now(KEPT))
        .returning(originals.c.key)
    )
    return missing | (set(wanted) - set(tx.scalars(reserved)))


def let_go(tx: Connection, asset_id: str, keys: Sequence[str], original: str | None) -> None:
    """Note an asset's objects as loose, in the transaction that deletes its row.

    The next sweep checks its original: only after the commit is it known whether another asset
    uses it.
    """
    if keys:
        tx.execute(
            sa.insert(loose_objects).values(
                id=_GOING + asset_id, object_keys=list(keys), until=now()
            )
        )
    if original:
        tx.execute(
            sa.update(originals)
            .where(
                originals.c.key == original,
                sa.or_(originals.c.held_until.is_(None), originals.c.held_until < now()),
            )
            .values(held_until=now())
        )


def give_up(tx: Connection, asset_ids: Sequence[str]) -> None:
    """Give up noted objects that will get no row."""
    tx.execute(
        sa.update(loose_objects).where(loose_objects.c.id.in_(asset_ids)).values(until=now())
    )


# --- the sweep -------------------------------------------------------------------------------


def release(tx: Connection, *, limit: int) -> int:
    """End up to `limit` expired reservations; unused originals become loose. Return how many."""
    ran_out = (
        sa.select(originals.c.key)
        .where(HELD, originals.c.held_until < now())
        .order_by(originals.c.held_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    keys = list(tx.scalars(ran_out))
    shown = _shown(tx, keys)
    idle = [key for key in keys if key not in shown]
    tx.execute(
        sa.update(originals).where(originals.c.key.in_(sorted(shown))).values(held_until=None)
    )
    tx.execute(sa.delete(originals).where(originals.c.key.in_(idle)))
    if idle:
        row = {"id": _GOING + ids.secret(), "object_keys": idle}
        tx.execute(sa.insert(loose_objects).values(until=now(), **row))
    return len(keys)


def begin_removal(tx: Connection, *, limit: int) -> list[Loose]:
    """Return overdue loose objects; from this transaction on, no asset can claim them."""
    overdue = (
        sa.select(loose_objects.c.id, loose_objects.c.object_keys)
        .where(loose_objects.c.until <= now())
        .order_by(loose_objects.c.until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = [Loose(row.id, list(row.object_keys)) for row in tx.execute(overdue)]
    fresh = [each.id for each in found if not each.id.startswith(_GOING)]
    if fresh:
        marked = sa.literal(_GOING).concat(loose_objects.c.id)
        tx.execute(sa.update(loose_objects).where(loose_objects.c.id.in_(fresh)).values(id=marked))
    return [Loose(_GOING + each.id.removeprefix(_GOING), each.keys) for each in found]


def end_removal(tx: Connection, found: Sequence[Loose]) -> None:
    """Delete the rows of objects that are no longer in storage."""
    tx.execute(sa.delete(loose_objects).where(loose_objects.c.id.in_([each.id for each in found])))


def _shown(tx: Connection, keys: Sequence[str]) -> set[str]:
    named = [
        sa.select(table.c.original_key).where(table.c.original_key.in_(keys))
        for table in (assets, trash)
    ]
    return set(tx.scalars(sa.union(*named)))
