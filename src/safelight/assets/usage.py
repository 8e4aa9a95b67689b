"""Storage usage of accounts: objects and bytes by kind. Reads all of their rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from safelight.assets.asset import AssetKind
from safelight.db.engine import Database
from safelight.db.tables import assets, originals, trash, variants


@dataclass(frozen=True, slots=True)
class Used:
    """An account's usage for one kind.

    `what` is `image` or `model_3d` (served copies), `rendition`, `variant` (derived on request),
    `original` (if stored separately), or `deleted` (restorable from the trash).
    """

    account_id: str
    what: str
    count: int
    bytes: int


class StorageUsage:
    """Storage usage, for the API."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def of(self, account_id: str) -> list[Used]:
        """Return an account's usage."""
        return await self._db.read(lambda tx: used(tx, account_id))


def used(tx: Connection, account_id: str | None = None) -> list[Used]:
    """Return the usage of one account or of all, by account and kind."""
    found: list[Used] = []
    for what, owner, size, rows in _kinds(tx.dialect.name):
        query = sa.select(owner, sa.func.count(), sa.func.sum(size)).select_from(rows)
        if account_id is not None:
            query = query.where(owner == account_id)
        for account, count, total in tx.execute(query.group_by(owner)):
            found.append(Used(account, what, count, int(total or 0)))
    return sorted(found, key=lambda each: (each.account_id, each.what))


def _kinds(dialect: str) -> Iterator[tuple[str, sa.ColumnElement[str], Any, sa.FromClause]]:
    """Yield each kind: its name, the owner column, the size column, and the rows."""
    mine = assets.c.account_id
    # An input that is not served has only its original, which is counted separately.
    shown = sa.case((assets.c.key.is_not(None), assets.c.bytes), else_=0)
    for kind in AssetKind:
        these = sa.select(mine, shown.label("size")).where(assets.c.kind == kind).subquery()
        yield kind.value, these.c.account_id, these.c.size, these
    key, size, each = _renditions(dialect)
    # Small pictures are their own renditions, or both are one object.
    apart = sa.select(mine, key.label("key"), size.label("size")).select_from(
        assets.join(each, key != assets.c.key)
    )
    objects = apart.distinct().subquery()
    yield "rendition", objects.c.account_id, objects.c.size, objects
    yield "variant", mine, variants.c.bytes, variants.join(assets)
    yield "original", originals.c.account_id, originals.c.bytes, originals
    size = sa.cast(trash.c.row["bytes"].as_string(), sa.BigInteger)
    yield "deleted", trash.c.account_id, size, trash


def _renditions(
    dialect: str,
) -> tuple[sa.ColumnElement[str], sa.ColumnElement[int], sa.TableValuedAlias]:
    """Return key and size columns of each rendition of an asset, and their table."""
    if dialect == "postgresql":
        each = sa.func.jsonb_each(assets.c.renditions).table_valued(
            "key", sa.column("value", postgresql.JSONB)
        )
        value = each.c.value
        return value["key"].astext, sa.cast(value["bytes"].astext, sa.BigInteger), each
    each = sa.func.json_each(assets.c.renditions).table_valued("value")
    part = sa.func.json_extract
    return part(each.c.value, "$.key"), part(each.c.value, "$.bytes"), each
