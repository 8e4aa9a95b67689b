"""Finds assets: pages of what matches a filter, counts by fact, and pictures that look alike."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Row, Select

from safelight.assets import index, terms
from safelight.assets.asset import Asset
from safelight.assets.store import to_asset
from safelight.assets.terms import Filter
from safelight.assets.words import TextQuery
from safelight.db.tables import assets

_VALUES: dict[str, Callable[[Row[Any]], Iterable[str]]] = {
    "kind": lambda row: [row.kind],
    "format": lambda row: [terms.format_name(row.media_type)],
    "tag": lambda row: cast("list[str]", row.tags),
    "host": lambda row: [row.source_host],
    "model": lambda row: [row.model],
}
FACETS = tuple(_VALUES)
COUNTED = 10_000
"""How many of the newest matches facets are counted over."""

_Query = Select[*tuple[Any, ...]]

_COMPARED = 5_000  # pictures whose hashes are compared in one look


@dataclass(frozen=True, slots=True)
class Facets:
    """How many assets have which value, most frequent first; `counted` is how many were looked at.

    `is_complete` says that these are all that match.
    """

    counts: dict[str, list[tuple[str, int]]]
    counted: int
    is_complete: bool


def page(
    tx: Connection, account_id: str, wanted: Filter, *, before: int | None, limit: int
) -> list[Asset]:
    """Return up to `limit` matching assets with numbers below `before`, newest first."""
    query, number = _matching(tx, account_id, wanted, sa.select(assets))
    if before is not None:
        query = query.where(number < before)
    rows = tx.execute(query.order_by(number.desc()).limit(limit)).mappings()
    return [to_asset(row) for row in rows]


def facets(
    tx: Connection, account_id: str, wanted: Filter, names: Sequence[str], *, most: int
) -> Facets:
    """Count the values of `names` among the newest matches, the `most` frequent of each."""
    columns = sa.select(
        assets.c.kind,
        assets.c.media_type,
        assets.c.tags,
        assets.c.source_host,
        assets.c.model,
    )
    query, number = _matching(tx, account_id, wanted, columns)
    rows = tx.execute(query.order_by(number.desc()).limit(COUNTED + 1)).all()
    counts = {name: Counter[str]() for name in names}
    for row in rows[:COUNTED]:
        for name, counter in counts.items():
            counter.update(filter(None, _VALUES[name](row)))
    found = {name: counter.most_common(most) for name, counter in counts.items()}
    return Facets(found, min(len(rows), COUNTED), len(rows) <= COUNTED)


def similar(tx: Connection, asset: Asset, *, distance: int, limit: int) -> list[tuple[Asset, int]]:
    """Return the account's pictures whose hashes differ by at most `distance` bits, nearest first.

    Exact up to 7 bits; beyond, pictures are found whose hash has a part in common. Where very many
    have, the newest are compared.
    """
    if asset.perceptual_hash is None:
        return []
    mine = int(asset.perceptual_hash, 16)
    alike = terms.look_alikes(asset.perceptual_hash)
    query, number = _indexed(
        tx,
        asset.account_id,
        [[terms.account(asset.account_id)], alike],
        TextQuery(),
        sa.select(assets.c.number, assets.c.perceptual_hash),
    )
    near: list[tuple[int, int]] = []
    query = query.where(assets.c.number != asset.number)
    for row in tx.execute(query.order_by(number.desc()).limit(_COMPARED)):
        bits = (mine ^ int(row.perceptual_hash, 16)).bit_count()
        if bits <= distance:
            near.append((bits, row.number))
    nearest = sorted(near, key=lambda pair: (pair[0], -pair[1]))[:limit]
    rows = tx.execute(
        sa.select(assets).where(
            assets.c.number.in_([other for _, other in nearest]),
            assets.c.account_id == asset.account_id,
        )
    ).mappings()
    found = {row["number"]: to_asset(row) for row in rows}
    return [(found[other], bits) for bits, other in nearest if other in found]


def _matching(
    tx: Connection, account_id: str, wanted: Filter, select: _Query
) -> tuple[_Query, ColumnElement[int]]:
    """Return the query for matching assets of the account, and the number to order it by."""
    if wanted.is_empty:
        return select.where(assets.c.account_id == account_id), assets.c.number
    lists = terms.alternatives(wanted, today=datetime.now(UTC).date())
    every = [[terms.account(account_id)], *lists]
    query, number = _indexed(tx, account_id, every, wanted.text, select)
    return query.where(*_exactly(wanted)), number


def _indexed(
    tx: Connection, account_id: str, lists: index.Terms, text: TextQuery, select: _Query
) -> tuple[_Query, ColumnElement[int]]:
    if tx.dialect.name == "postgresql":
        # What a query costs differs by its words, so each is planned for its own.
        tx.execute(sa.text("SET LOCAL plan_cache_mode = force_custom_plan"))
    number = index.number(tx)
    query = (
        select.select_from(index.TABLE.join(assets, assets.c.number == number))
        .where(index.matches(tx, lists, text))
        # The index is of words; whose asset it is, only the row says.
        .where(assets.c.account_id == account_id)
    )
    return query, number


def _exactly(wanted: Filter) -> list[ColumnElement[bool]]:
    """Return what the terms of the index say only roughly."""
    bounds = (
        (assets.c.width, wanted.min_width, wanted.max_width),
        (assets.c.height, wanted.min_height, wanted.max_height),
    )
    conditions: list[ColumnElement[bool]] = []
    for column, least, most in bounds:
        if least is not None:
            conditions.append(column >= least)
        if most is not None:
            conditions.append(column <= most)
    if wanted.created_after is not None:
        conditions.append(assets.c.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(assets.c.created_at < wanted.created_before)
    return conditions
