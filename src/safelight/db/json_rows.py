"""Passes any number of rows to a statement as one JSON parameter, to be joined as a table.

The statement's text, and so its plan, stays the same for any number of rows, and the limit on the
number of parameters does not apply.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CTE, Connection
from sqlalchemy.types import TypeEngine

from safelight.db.types import Instant, Json, to_json, to_microseconds

_POSTGRESQL: Mapping[type[TypeEngine[Any]], str] = {
    sa.Text: "text",
    sa.Integer: "integer",
    sa.BigInteger: "bigint",
    sa.Float: "double precision",
    sa.Boolean: "boolean",
    sa.JSON: "jsonb",
    Instant: "timestamptz",
}


class JsonRows:
    """Rows passed to a statement, each with a value or NULL for every one of `columns`.

    Build a statement once, on `table`, and execute it with the parameters from `bind`: building it
    can take SQLAlchemy longer than the database takes to run it.
    """

    def __init__(self, **columns: type[TypeEngine[Any]]) -> None:
        self._columns = columns

    def table(self, dialect: str) -> CTE:
        """Return the rows as a table for statements in that dialect."""
        query = _postgresql if dialect == "postgresql" else _sqlite
        types = {name: Json if kind is sa.JSON else kind for name, kind in self._columns.items()}
        bound = sa.text(query(self._columns)).bindparams(sa.bindparam("given", type_=sa.Text))
        return bound.columns(**types).cte("given")

    def bind(self, tx: Connection, rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """Return the parameters with `rows`."""
        native = tx.dialect.name == "postgresql"
        values = [
            {name: _plain(row.get(name), native_times=native) for name in self._columns}
            for row in rows
        ]
        return {"given": to_json(values)}


def _postgresql(columns: Mapping[str, type[TypeEngine[Any]]]) -> str:
    spelled = ", ".join(f'"{name}" {_POSTGRESQL[kind]}' for name, kind in columns.items())
    # The names are keyword arguments in our code, never data.
    return f"SELECT * FROM jsonb_to_recordset(CAST(:given AS jsonb)) AS row({spelled})"  # noqa: S608


def _sqlite(columns: Mapping[str, type[TypeEngine[Any]]]) -> str:
    spelled = ", ".join(f"""json_extract(value, '$.{name}') AS "{name}\"""" for name in columns)
    return f"SELECT {spelled} FROM json_each(:given)"  # noqa: S608  as above


def _plain(value: Any, *, native_times: bool) -> Any:
    if isinstance(value, datetime):
        return value.isoformat() if native_times else to_microseconds(value)
    return value
