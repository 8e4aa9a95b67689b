"""Turns values of this program into rows that a statement can join: one text, however many rows.

One bound parameter, of JSON, carries them all: a statement keeps its text and so its plan, and no
limit on the number of parameters is met.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CTE, Connection
from sqlalchemy.types import TypeEngine

from safelight.db.types import Instant, Json, to_json, to_microseconds

_POSTGRESQL = {
    sa.Text: "text",
    sa.Integer: "integer",
    sa.BigInteger: "bigint",
    sa.Float: "double precision",
    sa.Boolean: "boolean",
    sa.JSON: "jsonb",
    Instant: "timestamptz",
}


class Given:
    """Rows that a statement is given, each with a value, or NULL, for every one of `columns`.

    A statement is built once, on `table`, and executed with what `bind` returns: building one takes
    SQLAlchemy longer than many a database takes to run it.
    """

    def __init__(self, **columns: type[TypeEngine[Any]]) -> None:
        self._columns = columns

    def table(self, dialect: str) -> CTE:
        """Return the rows as a table, for a statement in that dialect."""
        query = _postgresql if dialect == "postgresql" else _sqlite
        types = {name: Json if kind is sa.JSON else kind for name, kind in self._columns.items()}
        bound = sa.text(query(self._columns)).bindparams(sa.bindparam("given", type_=sa.Text))
        return bound.columns(**types).cte("given")

    def bind(self, tx: Connection, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """Return the parameter that carries `rows`."""
        native = tx.dialect.name == "postgresql"
        values = [
            {name: _plain(row.get(name), native_times=native) for name in self._columns}
            for row in rows
        ]
        return {"given": to_json(values)}


def _postgresql(columns: Mapping[str, type[TypeEngine[Any]]]) -> str:
    spelled = ", ".join(f'"{name}" {_POSTGRESQL[kind]}' for name, kind in columns.items())
    # Names are keyword arguments of this program, never data.
    return f"SELECT * FROM jsonb_to_recordset(CAST(:given AS jsonb)) AS row({spelled})"  # noqa: S608


def _sqlite(columns: Mapping[str, type[TypeEngine[Any]]]) -> str:
    spelled = ", ".join(f"""json_extract(value, '$.{name}') AS "{name}\"""" for name in columns)
    return f"SELECT {spelled} FROM json_each(:given)"  # noqa: S608  as above


def _plain(value: Any, *, native_times: bool) -> Any:
    if isinstance(value, datetime):
        return value.isoformat() if native_times else to_microseconds(value)
    return value
