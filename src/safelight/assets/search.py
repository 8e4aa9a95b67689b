"""Asset search: pages for a filter, facet counts, and similar pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CTE, Column, ColumnElement, Connection, Select

from safelight.assets.asset import Asset
from safelight.assets.index import index, terms
from safelight.assets.index.terms import Filter
from safelight.assets.index.words import TextQuery
from safelight.assets.store import to_asset
from safelight.db.tables import assets
from safelight.db.walks import span

_FACETS: dict[str, Column[Any]] = {
    "kind": assets.c.kind,
    "format": assets.c.media_type,
    "tag": assets.c.tags,
    "host": assets.c.source_host,
    "model": assets.c.model,
}
FACETS = tuple(_FACETS)
COUNTED = 10_000
"""How many of the newest matches are counted for facets."""

_Query = Select[*tuple[Any, ...]]

_COMPARED = 5_000  # hashes compared per query
_OVERTAKEN = timedelta(minutes=10)  # tolerance between the order of numbers and of times
_OVERTAKING = 1_000  # numbers assigned within that tolerance


@dataclass(frozen=True, slots=True)
class Facets:
    """Counts of values, most frequent first; `counted` is the number of assets examined.

    `is_complete` means that all matches were examined.
    """

    counts: dict[str, list[tuple[str, int]]]
    counted: int
    is_complete: bool


def page(
    tx: Connection, account_id: str, wanted: Filter, *, before: int | None, limit: int
) -> list[Asset]:
    """Return up to `limit` matching assets with numbers below `before`, newest first."""
    query = _matching(tx, account_id, wanted, sa.select(assets), before)
    rows = tx.execute(query.limit(limit)).mappings()
    return [to_asset(row) for row in rows]


def facets(
    tx: Connection, account_id: str, wanted: Filter, names: Sequence[str], *, most: int
) -> Facets:
    """Count the values of facets `names` among the newest matches, the `most` frequent of each."""
    columns = sa.select(assets.c.id, *_FACETS.values())
    query = _matching(tx, account_id, wanted, columns, None)
    found = query.limit(COUNTED + 1).cte("found")
    counted = tx.scalar(sa.select(sa.func.count()).select_from(found)) or 0
    counts = {name: _count(tx, found, name, most) for name in names}
    return Facets(counts, min(counted, COUNTED), counted <= COUNTED)


def _count(tx: Connection, found: CTE, name: str, most: int) -> list[tuple[str, int]]:
    value: ColumnElement[str] = found.c[_FACETS[name].name]
    source: sa.FromClause = found
    if name == "tag":
        each = index.elements(tx, value)
        source, value = found.join(each, sa.true()), each.c.value
    number = sa.func.count()
    query = (
        sa.select(value, number)
        .select_from(source)
        .where(value != "")
        .group_by(value)
        .order_by(number.desc(), value)
        .limit(most)
    )
    shown = terms.format_name if name == "format" else str
    return [(shown(text), count) for text, count in tx.execute(query)]


def similar(tx: Connection, asset: Asset, *, distance: int, limit: int) -> list[tuple[Asset, int]]:
    """Return the account's pictures within `distance` bits of the hash, nearest first.

    Beyond 7 bits, a picture is found only if a chunk of its hash is almost equal. If very many are,
    only some thousands are compared.
    """
    if asset.perceptual_hash is None:
        return []
    mine = int(asset.perceptual_hash, 16)
    alike = [terms.look_alikes(asset.perceptual_hash)]
    candidates = index.some(tx, asset.account_id, alike, limit=_COMPARED)
    own = (
        assets.c.number.in_(candidates),
        assets.c.account_id == asset.account_id,
        assets.c.number != asset.number,
    )
    hashes = tx.execute(sa.select(assets.c.number, assets.c.perceptual_hash).where(*own))
    differing = {number: (mine ^ int(text, 16)).bit_count() for number, text in hashes if text}
    near = sorted((bits, -number) for number, bits in differing.items() if bits <= distance)
    chosen = [-number for _, number in near[:limit]]
    rows = tx.execute(sa.select(assets).where(*own, assets.c.number.in_(chosen))).mappings()
    found = {row["number"]: to_asset(row) for row in rows}
    return [(found[number], differing[number]) for number in chosen]


def _matching(
    tx: Connection, account_id: str, wanted: Filter, select: _Query, before: int | None
) -> _Query:
    """Return the query for matching assets of the account with numbers below `before`, sorted."""
    lists = terms.alternatives(wanted)
    query = select.where(*_exactly(wanted))
    if not lists and wanted.text == TextQuery():
        mine, order = span((assets.c.account_id, assets.c.number), (account_id,), until=before)
        return query.where(*mine, *_numbered(tx, wanted, assets.c.number)).order_by(*order)
    number = index.number(tx)
    query = query.select_from(index.TABLE.join(assets, assets.c.number == number))
    query = query.where(index.matches(tx, account_id, lists, wanted.text))
    # The index contains words; the row decides about the owner.
    query = query.where(assets.c.account_id == account_id, *_numbered(tx, wanted, number))
    query = query if before is None else query.where(number < before)
    return query.order_by(number.desc())


def _numbered(
    tx: Connection, wanted: Filter, number: ColumnElement[int]
) -> list[ColumnElement[bool]]:
    """Return bounds on the asset numbers in a time range, to skip all others.

    Numbers are assigned in order of time, except for small reorderings between writers.
    """
    made = assets.c.created_at
    conditions: list[ColumnElement[bool]] = []
    if wanted.created_after is not None:
        later = sa.select(assets.c.number).where(made >= wanted.created_after - _OVERTAKEN)
        first = tx.scalar(later.order_by(made).limit(1))
        conditions.append(number >= first - _OVERTAKING if first is not None else sa.false())
    if wanted.created_before is not None:
        earlier = sa.select(assets.c.number).where(made < wanted.created_before + _OVERTAKEN)
        last = tx.scalar(earlier.order_by(made.desc()).limit(1))
        conditions.append(number <= last + _OVERTAKING if last is not None else sa.false())
    return conditions


def _exactly(wanted: Filter) -> list[ColumnElement[bool]]:
    """Return the conditions that index terms cover only roughly or not at all."""
    bounds = (
        (assets.c.width, wanted.min_width, wanted.max_width),
        (assets.c.height, wanted.min_height, wanted.max_height),
    )
    conditions: list[ColumnElement[bool]] = []
    for column, least, most in bounds:
        # The sum hides the column from PostgreSQL's estimates, which the terms already reflect.
        if least is not None:
            conditions.append(column + 0 >= least)
        if most is not None:
            conditions.append(column + 0 <= most)
    if wanted.created_after is not None:
        conditions.append(assets.c.created_at >= wanted.created_after)
    if wanted.created_before is not None:
        conditions.append(assets.c.created_at < wanted.created_before)
    return conditions
