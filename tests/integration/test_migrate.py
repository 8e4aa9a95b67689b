"""The one history of migrations makes, on either database, exactly the tables of db/tables.py."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from safelight.db import migrate as history
from safelight.db.engine import open_database
from safelight.db.migrate import is_current, migrate
from safelight.db.tables import metadata
from tests.servers import PostgresServer

_FOLDER = Path(history.__file__).with_name("migrations")
_MIGRATE = """
import asyncio, sys
from safelight.db.engine import open_database
from safelight.db.migrate import migrate
async def run():
    database = open_database(sys.argv[1])
    sys.stdin.readline()
    await migrate(database)
    await database.close()
asyncio.run(run())
"""


# Each database has a search index of its own kind, which SQLAlchemy knows nothing of.
_SEARCH = "asset_search"


def _is_apart(name: str) -> bool:
    return "alembic" in name or _SEARCH in name


def table_names(tx: Connection) -> set[str]:
    return {name for name in sa.inspect(tx).get_table_names() if not _is_apart(name)}


async def test_migrate_when_the_database_is_empty_makes_all_tables(database_url: str) -> None:
    database = open_database(database_url)
    assert not await is_current(database)
    await migrate(database)
    assert await is_current(database)
    assert await database.read(table_names) == set(metadata.tables)
    await migrate(database)  # a second time changes nothing
    await database.close()


async def test_migrate_when_tasks_of_one_process_come_at_once_is_done_once(
    database_url: str,
) -> None:
    databases = [open_database(database_url) for _ in range(3)]
    await asyncio.gather(*(migrate(database) for database in databases for _ in range(2)))
    assert await is_current(databases[0])
    for database in databases:
        await database.close()


def test_migrate_when_processes_come_at_once_is_done_once(database_url: str) -> None:
    command = [sys.executable, "-c", _MIGRATE, database_url]
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in running:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors.decode()

    async def check() -> None:
        database = open_database(database_url)
        assert await is_current(database)
        await database.close()

    asyncio.run(check())


def test_history_when_read_is_one_line_whose_files_are_named_by_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    scripts = ScriptDirectory.from_config(config)
    assert len(scripts.get_heads()) == 1
    for script in scripts.walk_revisions():
        assert Path(script.path).stem == script.revision


async def test_tables_when_compared_on_postgresql_have_not_drifted(
    postgres_server: PostgresServer, migrated_postgres: str
) -> None:
    url = postgres_server.create_database(migrated_postgres)
    migrated = open_database(url)

    def differences(tx: Connection) -> list[object]:
        options = {"include_name": lambda name, *_: not _is_apart(str(name))}
        return compare_metadata(MigrationContext.configure(tx, opts=options), metadata)

    def checks(tx: Connection) -> set[tuple[str, str]]:
        query = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c'"
        return {(name, rule) for name, rule in tx.exec_driver_sql(query)}

    def indexes(tx: Connection) -> set[tuple[str, str]]:
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        found = tx.exec_driver_sql(query)
        return {(name, rule) for name, rule in found if not _is_apart(name)}

    assert await migrated.read(differences) == []
    plain_url = postgres_server.create_database()
    plain = open_database(plain_url)
    await plain.write(metadata.create_all)
    assert await migrated.read(checks) == await plain.read(checks)
    assert await migrated.read(indexes) == await plain.read(indexes)
    for database, place in ((migrated, url), (plain, plain_url)):
        await database.close()
        postgres_server.drop_database(place)


def test_tables_when_compared_on_sqlite_have_not_drifted(
    migrated_sqlite: Path, tmp_path: Path
) -> None:
    plain = sa.create_engine(f"sqlite:///{tmp_path / 'plain.db'}")
    metadata.create_all(plain)
    migrated = sa.create_engine(f"sqlite:///{migrated_sqlite}")
    assert _schema(migrated) == _schema(plain)
    plain.dispose()
    migrated.dispose()


def _schema(engine: sa.Engine) -> dict[str, list[str]]:
    """Return what SQLite keeps of each table and index, but for the order of columns and rules."""
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(query).all()
    return {
        name: sorted(
            part.strip(" \n\t,()")
            for part in re.split(r",\s*\n|, (?=CONSTRAINT|[a-z])| (?=CONSTRAINT )", definition)
        )
        for name, definition in rows
        if not _is_apart(name)
    }
