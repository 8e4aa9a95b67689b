"""Keyset pagination whose cost does not depend on the table's size.

Most queries are served by an index. A filter without one scans a bounded number of rows after the
cursor and returns how far it came: an empty page may have a next one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import Column, ColumnElement, Connection
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from safelight.db.types import to_json

T = TypeVar("T")

_IDS: dict[str, TypeEngine[Any]] = {"postgresql": postgresql.ARRAY(sa.Text), "sqlite": sa.Text()}

LOOKED_AT = 2_000
"""How many rows a filter without an index scans per page."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of rows, and the cursor for the next page; None on the last page."""

    rows: list[T]
    next: str | None


def span(
    columns: Sequence[Column[Any]], prefix: Sequence[Any], *, until: Any = None, since: Any = None
) -> tuple[list[ColumnElement[bool]], list[ColumnElement[Any]]]:
    """Return condition and descending order for a range of the index on `columns`.

    It covers the rows that start with `prefix`, all columns except the last, and whose last column
    is below `until` and not below `since`. It compares whole tuples, because an equality would let
    the planner walk another index in the order of the last column, past other owners' rows.
    """
    owners = sa.tuple_(*columns[:-1])
    whole = sa.tuple_(*columns)
    mine = _typed(columns[:-1], prefix)
    least = owners >= mine if since is None else whole >= _typed(columns, (*prefix, since))
    most = owners <= mine if until is None else whole < _typed(columns, (*prefix, until))
    return [least, most], [column.desc() for column in columns]


def _typed(columns: Sequence[Column[Any]], values: Sequence[Any]) -> sa.Tuple:
    pairs = zip(columns, values, strict=True)
    return sa.tuple_(*(sa.literal(value, column.type) for column, value in pairs))


def newest(
    tx: Connection,
    columns: tuple[Column[Any], ...],
    prefixes: Sequence[Sequence[str]],
    *,
    before: str | None,
    limit: int,
) -> list[str]:
    """Return the newest `limit` ids of the rows that start with one of `prefixes`.

    Needs an index on `columns`, the id last: reads the newest of each prefix and merges them.
    """
    given: dict[str, Any] = {"before": before} if before is not None else {}
    for number, prefix in enumerate(prefixes):
        given |= {f"{place}_{number}": str(value) for place, value in enumerate(prefix, 1)}
    statement = _merge_statement(columns, len(prefixes), is_continued=before is not None)
    return list(tx.scalars(statement, {"limit": limit, **given}))


@cache
def _merge_statement(
    columns: tuple[Column[Any], ...], prefixes: int, *, is_continued: bool
) -> sa.TextClause:
    """Return the statement as text, because SQLAlchemy takes longer to build it than to run it."""
    names = [f"{column.table.name}.{column.name}" for column in columns]
    order = ", ".join(f"{name} DESC" for name in names)
    owners, whole, row_id = ", ".join(names[:-1]), ", ".join(names), names[-1]
    parts: list[str] = []
    for number in range(prefixes):
        mine = ", ".join(f":{place}_{number}" for place in range(1, len(names)))
        end = f"({whole}) < ({mine}, :before)" if is_continued else f"({owners}) <= ({mine})"
        parts.append(
            f"SELECT id FROM (SELECT {row_id} AS id FROM {columns[0].table.name}"  # noqa: S608
            f" WHERE ({owners}) >= ({mine}) AND {end} ORDER BY {order} LIMIT :limit) part_{number}"
        )
    if len(parts) == 1:
        return sa.text(parts[0])
    merged = " UNION ALL ".join(parts)
    return sa.text(f"SELECT id FROM ({merged}) merged ORDER BY id DESC LIMIT :limit")  # noqa: S608


def among(tx: Connection, row_id: Column[Any], ids: Iterable[str]) -> ColumnElement[bool]:
    """Return the condition that `row_id` is one of any number of `ids`.

    Do not add the account: the ids imply it, and SQLite would then scan the whole account.
    """
    return is_named(tx.dialect.name, row_id, sa.literal(named(tx, ids), _IDS[tx.dialect.name]))


def is_named(
    dialect: str, row_id: Column[Any], ids: ColumnElement[Any] | None = None
) -> ColumnElement[bool]:
    """Return the same condition for a statement that is built once: `ids` is bound by each call."""
    given = sa.bindparam("ids", type_=_IDS[dialect]) if ids is None else ids
    if dialect == "postgresql":
        return row_id == sa.func.any(given)
    return row_id.in_(sa.select(sa.func.json_each(given).table_valued("value").c.value))


def named(tx: Connection, ids: Iterable[str]) -> list[str] | str:
    """Return the value of `ids` in such a statement."""
    return list(ids) if tx.dialect.name == "postgresql" else to_json(list(ids))
