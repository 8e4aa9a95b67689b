"""Rows of derived variants, and of their source pictures."""

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
    """A row of `variants`: a file derived from an asset by the canonical `spec`.

    Width and height are 0 for a 3D model.
    """

    asset_id: str
    spec: str
    key: str
    media_type: str
    width: int
    height: int
    bytes: int
    sha256: str | None = None  # None in rows of earlier versions


@dataclass(frozen=True, slots=True)
class Source:
    """A served picture, with the requested variants that exist, by spec."""

    asset_id: str
    account_id: str
    key: str
    width: int
    height: int
    has_alpha: bool
    variants: dict[str, Variant]


_COLUMNS = [field.name for field in fields(Variant)]


def find(tx: Connection, key: str, specs: Sequence[str]) -> Source | None:
    """Return the picture served as `key`, with the variants among `specs` that exist."""
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
    """Return the variant of an asset for `spec`, or None."""
    query = sa.select(variants).where(variants.c.asset_id == asset_id, variants.c.spec == spec)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_variant(row)


def keep(tx: Connection, variant: Variant, note: str, *, source: str) -> Variant | None:
    """Insert a variant whose object is stored and noted as `note`; return the row in effect.

    That is another process's row if that was faster. Returns None if the asset is gone or no longer
    served as `source`; the object is then left to the next sweep.
    """
    asset = sa.select(assets.c.id).where(assets.c.id == variant.asset_id, assets.c.key == source)
    # Locked until the commit, so that a later deletion of the asset finds this row.
    if tx.scalars(asset.with_for_update(read=True, key_share=True)).one_or_none() is None:
        object_ledger.give_up(tx, [note])
        return None
    if not _insert(tx, variant):
        object_ledger.give_up(tx, [note])
        return get(tx, variant.asset_id, variant.spec)
    if object_ledger.swept(tx, [note], ()):
        raise ObjectsSwept
    return variant


def drop(tx: Connection, asset_ids: Collection[str]) -> dict[str, list[str]]:
    """Delete the variants of these assets, and return their keys by asset."""
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
