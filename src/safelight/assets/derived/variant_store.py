"""The rows of files that were made of assets on the fly, and of the pictures they are made of."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from safelight.assets import object_ledger
from safelight.assets.asset import AssetKind
from safelight.assets.errors import ObjectsSwept
from safelight.db.tables import assets, variants
from safelight.db.types import now
from safelight.db.upsert import upsert


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of `variants`: what was made of an asset by `spec`, a canonical spelling.

    A 3D model has no size in pixels: 0.
    """

    asset_id: str
    spec: str
    key: str
    media_type: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Source:
    """A picture that is shown, with those of its variants that were asked for, by their spec."""

    asset_id: str
    account_id: str
    key: str
    width: int
    height: int
    has_alpha: bool
    variants: dict[str, Variant]


_COLUMNS = [field.name for field in fields(Variant)]


def find(tx: Connection, key: str, specs: Sequence[str]) -> Source | None:
    """Return the picture that is shown as `key`, and which of `specs` there are already."""
    joined = sa.and_(variants.c.asset_id == assets.c.id, variants.c.spec.in_(specs))
    query = (
        sa.select(
            assets.c.id,
            assets.c.account_id,
            assets.c.width.label("source_width"),
            assets.c.height.label("source_height"),
            assets.c.facts["has_alpha"].as_boolean().label("has_alpha"),
            *(variants.c[name] for name in _COLUMNS),
        )
        .select_from(assets.outerjoin(variants, joined))
        .where(assets.c.key == key, assets.c.kind == AssetKind.IMAGE)
    )
    rows = tx.execute(query).mappings().all()
    if not rows:
        return None
    first = rows[0]
    made = [_to_variant(row) for row in rows if row["spec"] is not None]
    return Source(
        first["id"],
        first["account_id"],
        key,
        first["source_width"],
        first["source_height"],
        bool(first["has_alpha"]),
        {variant.spec: variant for variant in made},
    )


def get(tx: Connection, asset_id: str, spec: str) -> Variant | None:
    """Return what was made of an asset by `spec`, if it was."""
    query = sa.select(variants).where(variants.c.asset_id == asset_id, variants.c.spec == spec)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_variant(row)


def keep(tx: Connection, variant: Variant, note: str, *, source: str) -> Variant | None:
    """Write a variant whose object is stored and noted as `note`; return what stands.

    That is another process's where it was quicker, and None where the asset is gone, or no longer
    shown as `source`: then the object is left to the next sweep.
    """
    held = sa.select(assets.c.id).where(assets.c.id == variant.asset_id, assets.c.key == source)
    # Held until the commit, so that whoever deletes the asset afterwards finds this row.
    if tx.scalars(held.with_for_update(read=True, key_share=True)).one_or_none() is None:
        object_ledger.give_up(tx, [note])
        return None
    if not _insert(tx, variant):
        object_ledger.give_up(tx, [note])
        return get(tx, variant.asset_id, variant.spec)
    if object_ledger.swept(tx, [note], ()):
        raise ObjectsSwept
    return variant


def drop(tx: Connection, asset_ids: Collection[str]) -> dict[str, list[str]]:
    """Forget what was made of these assets, and return the keys of it by asset."""
    statement = (
        sa.delete(variants)
        .where(variants.c.asset_id.in_(asset_ids))
        .returning(variants.c.asset_id, variants.c.key)
    )
    keys: dict[str, list[str]] = {asset_id: [] for asset_id in asset_ids}
    for asset_id, key in tx.execute(statement):
        keys[asset_id].append(key)
    return keys


def _insert(tx: Connection, variant: Variant) -> bool:
    statement = (
        upsert(tx, variants)
        .values(**asdict(variant), created_at=now())
        .on_conflict_do_nothing(index_elements=[variants.c.asset_id, variants.c.spec])
        .returning(variants.c.key)
    )
    return tx.scalars(statement).one_or_none() is not None


def _to_variant(row: RowMapping) -> Variant:
    return Variant(**{name: row[name] for name in _COLUMNS})
