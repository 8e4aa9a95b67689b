"""Fixtures that every test may use: databases of both kinds and a browser, on this machine only."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from safelight.db.engine import open_database
from safelight.db.migrate import migrate
from tests.browser import FLAGS, chromium
from tests.loopback import refuse_others
from tests.servers import PostgresServer, postgres

if TYPE_CHECKING:  # takes half a second, and few tests need it
    from playwright.async_api import Browser, ConsoleMessage, Page

refuse_others()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, which is all that Safelight supports."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for each test process; it starts with the first test that needs it."""
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def database_url(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The URL of an empty database of each kind in turn."""
    if database_kind == "sqlite":
        yield _sqlite_url(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture
def migrated_database_url(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The URL of a database of each kind in turn that has all tables and no rows."""
    if database_kind == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "safelight.db")
        yield _sqlite_url(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database(request.getfixturevalue("migrated_postgres"))
    yield url
    server.drop_database(url)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables, to be copied."""
    folder = tmp_path_factory.mktemp("migrated")
    _migrate(_sqlite_url(folder))
    return folder / "safelight.db"


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> str:
    """A database with all tables, to be a template."""
    url = postgres_server.create_database()
    _migrate(url)
    return url


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> "AsyncIterator[Browser]":
    """A Chromium for a module's tests, which are slow ones."""
    from playwright.async_api import async_playwright  # noqa: PLC0415  see above

    found = chromium()
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=found.program, args=FLAGS, env=found.environment
        )
        yield running
        await running.close()


@pytest.fixture
async def page(browser: "Browser") -> "AsyncIterator[Page]":
    """A page with cookies and storage of its own."""
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()


@pytest.fixture
async def complaints(page: "Page") -> list[str]:
    """The browser's complaints while the test runs: errors and policy violations."""
    found: list[str] = []

    def note(complaint: str) -> None:
        found.append(complaint)

    def hear(message: "ConsoleMessage") -> None:
        if message.type == "error":
            note(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: note(str(error)))
    await page.expose_function("reportViolation", note)
    await page.add_init_script(
        "addEventListener('securitypolicyviolation', (event) =>"
        " reportViolation(`${event.violatedDirective} ${event.blockedURI}`))"
    )
    return found


def _sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'safelight.db'}"


def _migrate(url: str) -> None:
    async def run() -> None:
        database = open_database(url)
        await migrate(database)
        await database.close()

    asyncio.run(run())
