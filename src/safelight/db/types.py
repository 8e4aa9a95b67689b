"""Portable types for SQLite and PostgreSQL: instants, JSON, and the database's clock."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

_LONG_NUMBER = re.compile(r"[0-9]{19}")
_PLAIN = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_NUL = "\\u0000"
_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A point in time: `timestamptz` on PostgreSQL, integer microseconds since 1970 on SQLite."""

    impl = sa.BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True))
        return dialect.type_descriptor(sa.BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return to_microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None or dialect.name == "postgresql":
            return value
        return _EPOCH + timedelta(microseconds=value)


Json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


class now(FunctionElement[datetime]):  # noqa: N801  named like the SQL function
    """The database's clock, shifted by `offset`."""

    inherit_cache = True
    type = Instant()

    def __init__(self, offset: timedelta = timedelta()) -> None:
        super().__init__(sa.literal(offset // _MICROSECOND, sa.BigInteger()))


@compiles(now, "postgresql")
def _now_on_postgresql(element: now, compiler: SQLCompiler, **kw: Any) -> str:
    offset = compiler.process(element.clauses, **kw)
    return f"(statement_timestamp() + {offset} * interval '1 microsecond')"


@compiles(now, "sqlite")
def _now_on_sqlite(element: now, compiler: SQLCompiler, **kw: Any) -> str:
    # engine.py registers `now_us` on every connection: older SQLite versions lack subseconds.
    return f"(now_us() + {compiler.process(element.clauses, **kw)})"


class in_seconds(FunctionElement[datetime]):  # noqa: N801  as above
    """The database's clock, shifted by an expression in seconds."""

    inherit_cache = True
    type = Instant()


@compiles(in_seconds, "postgresql")
def _in_seconds_on_postgresql(element: in_seconds, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(statement_timestamp() + {seconds} * interval '1 second')"


@compiles(in_seconds, "sqlite")
def _in_seconds_on_sqlite(element: in_seconds, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(now_us() + CAST({compiler.process(element.clauses, **kw)} * 1000000 AS INTEGER))"


def clock(tx: Connection) -> datetime:
    """Return the current time of the database's clock."""
    return tx.execute(sa.select(now())).scalar_one()


def to_microseconds(value: datetime) -> int:
    """Return whole microseconds since 1970."""
    return (value - _EPOCH) // _MICROSECOND


def from_json(text: str) -> Any:
    """Return the value of JSON from a column; integers of any length are exact."""
    # orjson takes a sixth of the time, and reads integers beyond 64 bits as floats.
    return json.loads(text) if _LONG_NUMBER.search(text) else orjson.loads(text)


def to_json(value: object) -> str:
    r"""Return `value` as JSON valid for PostgreSQL, which rejects \u0000 and lone surrogates.

    Requests with such text are rejected; here it comes from other servers' error messages.
    """
    try:
        text = orjson.dumps(value, option=_PLAIN).decode()
    except TypeError:  # a lone surrogate, an integer beyond 64 bits, a key that is no text
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        text = text.encode(errors="replace").decode()
    return _ESCAPED_NUL.sub("\\1\ufffd", text) if _NUL in text else text
