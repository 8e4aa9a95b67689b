"""Counts what accounts keep: objects and bytes of each kind. It reads all their rows."""

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
    """What an account keeps of a kind.

    `what` is `image` or `model_3d` (what assets show), `rendition`, `variant` (made on the fly),
    `original` (as it came, where that is kept apart), or `deleted` (what can still be had back).
    """

    account_id: str
    what: str
    count: int
    bytes: int


class StorageUsage:
    """How much is kept, for the API."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def of(self, account_id: str) -> list[Used]:
        """Return what an account keeps."""
        return await self._db.read(lambda tx: used(tx, account_id))


def used(tx: Connection, account_id: str | None = None) -> list[Used]:
    """Return what an account keeps, or all of them do, by account and kind."""
    found: list[Used] = []
    for what, owner, size, rows in _kinds(tx.dialect.name):
        query = sa.select(owner, sa.func.count(), sa.func.sum(size)).select_from(rows)
        if account_id is not None:
            query = query.where(owner == account_id)
        for account, count, total in tx.execute(query.group_by(owner)):
            found.append(Used(account, what, count, int(total or 0)))
    return sorted(found, key=lambda each: (each.account_id, each.what))


def _kinds(dialect: str) -> Iterator[tuple[str, sa.ColumnElement[str], Any, sa.FromClause]]:
    """Yield each kind: its name, whose a row is, its size, and the rows."""
    mine = assets.c.account_id
    # An input that is not shown has its original alone, which is counted by itself.
    shown = sa.case((assets.c.key.is_not(None), assets.c.bytes), else_=0)
    for kind in AssetKind:
        these = sa.select(mine, shown.label("size")).where(assets.c.kind == kind).subquery()
        yield kind.value, these.c.account_id, these.c.size, these
    key, size, each = _renditions(dialect)
    # Small pictures are their own.
    yield "rendition", mine, size, assets.join(each, key != assets.c.key)
    yield "variant", mine, variants.c.bytes, variants.join(assets)
    yield "original", originals.c.account_id, originals.c.bytes, originals
    size = sa.cast(trash.c.row["bytes"].as_string(), sa.BigInteger)
    yield "deleted", trash.c.account_id, size, trash


def _renditions(
    dialect: str,
) -> tuple[sa.ColumnElement[str], sa.ColumnElement[int], sa.TableValuedAlias]:
    """Return key and size of each rendition of an asset, and the table that they are of."""
    if dialect == "postgresql":
        each = sa.func.jsonb_each(assets.c.renditions).table_valued(
            "key", sa.column("value", postgresql.JSONB)
        )
        value = each.c.value
        return value["key"].astext, sa.cast(value["bytes"].astext, sa.BigInteger), each
    each = sa.func.json_each(assets.c.renditions).table_valued("value")
    part = sa.func.json_extract
    return part(each.c.value, "$.key"), part(each.c.value, "$.bytes"), each
