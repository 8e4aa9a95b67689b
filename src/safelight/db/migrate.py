"""Migrates a database to the latest schema; safe to run from several processes at once."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.engine import Database
from safelight.errors import ServiceError

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 7_331_001  # any number that only Safelight uses for pg_advisory_xact_lock


async def migrate(database: Database) -> None:
    """Apply pending migrations. One query if there are none."""
    if await database.read(_current) == newest_revision():
        return
    await database.write(_upgrade)


async def is_migrated(database: Database) -> bool:
    """Return whether the database has a schema, of whatever revision."""
    return await database.read(_current) is not None


async def is_current(database: Database) -> bool:
    """Return whether the schema is at the latest revision."""
    return await database.read(_current) == newest_revision()


async def check_current(database: Database) -> None:
    """Raise `ServiceError` unless the schema is at the latest revision."""
    if not await is_current(database):
        raise ServiceError("The database's schema is not the one that this version needs.")


def _current(tx: Connection) -> str | None:
    if not sa.inspect(tx).has_table("alembic_version"):
        return None
    return tx.scalar(sa.text("SELECT version_num FROM alembic_version"))


def newest_revision() -> str:
    """Return the latest revision, from the file names, without importing alembic."""
    return max(path.stem for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def _upgrade(tx: Connection) -> None:
    # The import takes half a second, and most starts have nothing to migrate.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    if tx.dialect.name == "postgresql":
        tx.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = tx
    command.upgrade(config, "head")
