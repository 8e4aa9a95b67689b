"""Reads the keys that rows name, and updates rows whose objects are lost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.assets import store as asset_store
from safelight.assets.asset import Asset
from safelight.db.tables import assets, loose_objects, originals, trash, variants
from safelight.db.types import now

_AT_ONCE = 1000


class Role(StrEnum):
    """The role of an object in the row that names it."""

    COPY = "copy"  # the served copy
    ORIGINAL = "original"
    RENDITION = "rendition"
    VARIANT = "variant"  # derived on request


@dataclass(frozen=True, slots=True)
class Named:
    """A key that a row names; without a role, its object may legitimately be missing."""

    key: str
    role: Role | None
    owner: str = ""  # the asset


def pages(tx: Connection) -> Iterator[list[Named]]:
    """Yield all keys that rows name, in pages."""
    loose = sa.select(loose_objects.c.object_keys)
    yield from _pages(tx, loose, lambda row: [Named(key, None) for key in row.object_keys])
    held = sa.select(originals.c.key)
    yield from _pages(tx, held, lambda row: [Named(row.key, None)])
    deleted = sa.select(trash.c.row)
    yield from _pages(tx, deleted, lambda row: [Named(key, None) for key in _keys_of(row.row)])
    made = sa.select(variants.c.key, variants.c.asset_id)
    yield from _pages(tx, made, lambda row: [Named(row.key, Role.VARIANT, row.asset_id)])
    kept = sa.select(assets.c.id, assets.c.key, assets.c.original_key, assets.c.renditions)
    yield from _pages(tx, kept, _of_asset)


def _keys_of(row: Mapping[str, Any]) -> list[str]:
    shown = [each["key"] for each in row["renditions"].values()]
    return [key for key in (row["key"], row["original_key"], *shown) if key]


def _of_asset(row: Any) -> list[Named]:
    named = {
        each["key"]: Named(each["key"], Role.RENDITION, row.id) for each in row.renditions.values()
    }
    named[row.original_key] = Named(row.original_key, Role.ORIGINAL, row.id)
    if row.key:
        named[row.key] = Named(row.key, Role.COPY, row.id)
    return list(named.values())


def _pages(
    tx: Connection, query: sa.Select[*tuple[Any, ...]], read: Callable[[Any], list[Named]]
) -> Iterator[list[Named]]:
    rows = tx.execution_options(yield_per=_AT_ONCE).execute(query)
    for page in rows.partitions():
        yield [named for row in page for named in read(row)]


def asset(tx: Connection, asset_id: str) -> Asset | None:
    """Return an asset of any account, or None."""
    row = tx.execute(sa.select(assets).where(assets.c.id == asset_id)).mappings().one_or_none()
    return None if row is None else asset_store.to_asset(row)


def forget_variants(tx: Connection, keys: Sequence[str]) -> int:
    """Delete variants; they are derived again on request."""
    return tx.execute(sa.delete(variants).where(variants.c.key.in_(keys))).rowcount


def leave_to_sweep(tx: Connection, sweep: str, keys: Sequence[str]) -> None:
    """Leave objects to the next sweep, under the id `sweep`."""
    tx.execute(sa.insert(loose_objects).values(id=sweep, object_keys=list(keys), until=now()))
