"""Turns values of this program into rows that a statement can join: one text, however many rows.

One bound parameter, of JSON, carries them all: a statement keeps its text and so its plan, and no
limit on the number of parameters is met.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CTE, Connection
from sqlalchemy.types import TypeEngine

from safelight.db.types import Instant, to_microseconds

_POSTGRESQL = {
    sa.Text: "text",
    sa.Integer: "integer",
    sa.BigInteger: "bigint",
    sa.Float: "double precision",
    Instant: "timestamptz",
}


def given(
    tx: Connection, rows: Iterable[Mapping[str, Any]], **columns: type[TypeEngine[Any]]
) -> CTE:
    """Return a table `given` of `rows`, each a value for every one of `columns`."""
    native = tx.dialect.name == "postgresql"
    values = [{name: _plain(row[name], native_times=native) for name in columns} for row in rows]
    query = _postgresql(columns) if native else _sqlite(columns)
    bound = sa.text(query).bindparams(sa.bindparam("given", json.dumps(values), sa.Text))
    return bound.columns(**columns).cte("given")


def _postgresql(columns: Mapping[str, type[TypeEngine[Any]]]) -> str:
    spelled = ", ".join(f"{name} {_POSTGRESQL[kind]}" for name, kind in columns.items())
    return f"SELECT * FROM jsonb_to_recordset(CAST(:given AS jsonb)) AS row({spelled})"


def _sqlite(columns: Mapping[str, type[TypeEngine[Any]]]) -> str:
    spelled = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
    return f"SELECT {spelled} FROM json_each(:given)"


def _plain(value: Any, *, native_times: bool) -> Any:
    if isinstance(value, datetime):
        return value.isoformat() if native_times else to_microseconds(value)
    return value
