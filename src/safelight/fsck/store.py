"""Reads the keys that rows name, and updates rows whose objects are lost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight import ids
from safelight.assets import checksums
from safelight.assets import store as asset_store
from safelight.assets.asset import Asset
from safelight.db.tables import assets, loose_objects, originals, trash, variants
from safelight.db.types import now

_AT_ONCE = 1000


class ObjectRole(StrEnum):
    """The role of an object in the row that names it."""

    COPY = "copy"  # the served copy
    ORIGINAL = "original"
    RENDITION = "rendition"
    VARIANT = "variant"  # derived on request


@dataclass(frozen=True, slots=True)
class Named:
    """A key that a row names; without a role, its object may legitimately be missing."""

    key: str
    role: ObjectRole | None
    owner: str = ""  # the asset
    sha256: str = ""  # of its bytes, if known


def pages(tx: Connection) -> Iterator[list[Named]]:
    """Yield all keys that rows name, in pages."""
    loose = sa.select(loose_objects.c.object_keys)
    yield from _pages(tx, loose, lambda row: [Named(key, None) for key in row["object_keys"]])
    held = sa.select(originals.c.key, originals.c.sha256)
    yield from _pages(tx, held, lambda row: [Named(row["key"], None, sha256=row["sha256"])])
    deleted = sa.select(trash.c.row)
    yield from _pages(tx, deleted, lambda row: _of_trash(row["row"]))
    made = sa.select(variants.c.key, variants.c.asset_id, variants.c.sha256)
    yield from _pages(tx, made, _of_variant)
    wanted = (*checksums.NAMING, "id")
    kept = sa.select(*(assets.c[name] for name in wanted))
    yield from _pages(tx, kept, _of_asset)


def _of_trash(row: Mapping[str, Any]) -> list[Named]:
    return [Named(key, None, sha256=sha) for key, sha in checksums.of_row(row).items()]


def _of_variant(row: Mapping[str, Any]) -> list[Named]:
    return [Named(row["key"], ObjectRole.VARIANT, row["asset_id"], row["sha256"] or "")]


def _of_asset(row: Mapping[str, Any]) -> list[Named]:
    roles = {each["key"]: ObjectRole.RENDITION for each in row["renditions"].values()}
    roles |= {row["original_key"]: ObjectRole.ORIGINAL} | (
        {row["key"]: ObjectRole.COPY} if row["key"] else {}
    )
    return [Named(key, roles[key], row["id"], sha) for key, sha in checksums.of_row(row).items()]


def _pages(
    tx: Connection, query: sa.Select[*tuple[Any, ...]], read: Callable[[Any], list[Named]]
) -> Iterator[list[Named]]:
    rows = tx.execution_options(yield_per=_AT_ONCE).execute(query).mappings()
    for page in rows.partitions():
        yield [named for row in page for named in read(row)]


def asset(tx: Connection, asset_id: str) -> Asset | None:
    """Return an asset of any account, or None."""
    row = tx.execute(sa.select(assets).where(assets.c.id == asset_id)).mappings().one_or_none()
    return None if row is None else asset_store.to_asset(row)


def note_checksums(tx: Connection, asset_id: str, found: Mapping[str, str]) -> None:
    """Record the checksums, by key, of objects that were rebuilt."""
    row = tx.execute(sa.select(assets).where(assets.c.id == asset_id)).mappings().one_or_none()
    if row is None or not found:
        return
    renditions = {
        name: each | ({"sha256": found[each["key"]]} if each["key"] in found else {})
        for name, each in row["renditions"].items()
    }
    served = found.get(row["key"], row["served_sha256"])
    tx.execute(
        sa.update(assets)
        .where(assets.c.id == asset_id, assets.c.key == row["key"])
        .values(renditions=renditions, served_sha256=served)
    )


def forget_variants(tx: Connection, keys: Sequence[str], stale: Sequence[str]) -> None:
    """Delete variants, which are derived again on request; leave `stale` objects to the sweep."""
    tx.execute(sa.delete(variants).where(variants.c.key.in_(keys)))
    if stale:
        leave_to_sweep(tx, stale)


def leave_to_sweep(tx: Connection, keys: Sequence[str]) -> None:
    """Leave objects to the next sweep."""
    row = {"id": ids.new("asset"), "object_keys": list(keys), "until": now()}
    tx.execute(sa.insert(loose_objects).values(row))
