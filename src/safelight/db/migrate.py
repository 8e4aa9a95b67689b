"""Brings a database to the newest schema; safe to run from several processes at once."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.engine import Database

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 7_331_001  # any number that only Safelight uses for pg_advisory_xact_lock


async def migrate(database: Database) -> None:
    """Apply what is missing. A database that is up to date costs one query."""
    if await database.read(_current) == newest_revision():
        return
    await database.write(_upgrade)


async def is_current(database: Database) -> bool:
    """Say whether the schema is the one that this code was written for."""
    return await database.read(_current) == newest_revision()


def _current(tx: Connection) -> str | None:
    if not sa.inspect(tx).has_table("alembic_version"):
        return None
    return tx.scalar(sa.text("SELECT version_num FROM alembic_version"))


def newest_revision() -> str:
    """Return the last revision's name, which its numbered file bears, without loading alembic."""
    return max(path.stem for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def _upgrade(tx: Connection) -> None:
    # Importing it takes half a second, and most starts have nothing to migrate.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    if tx.dialect.name == "postgresql":
        tx.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = tx
    command.upgrade(config, "head")
