"""INSERT … ON CONFLICT for both dialects, which SQLAlchemy keeps separate."""

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(tx: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that supports `on_conflict_do_nothing` and `on_conflict_do_update`."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)
