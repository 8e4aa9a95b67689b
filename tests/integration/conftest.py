"""Fixtures of the tests that need a database with all tables."""

from collections.abc import AsyncIterator

import pytest

from safelight.db.engine import Database, open_database
from tests import factories


@pytest.fixture
async def database(migrated_database_url: str) -> AsyncIterator[Database]:
    """A database of each kind in turn, with all tables and no rows."""
    opened = open_database(migrated_database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def account(database: Database) -> str:
    """The id of an account in that database."""
    return await factories.new_account(database)
