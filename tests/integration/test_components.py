"""The real components that other tests stand on start, answer and stop."""

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.async_api import Page

from safelight.db.engine import open_database
from safelight.db.migrate import is_current
from tests.loopback import LeftThisMachine
from tests.servers import wait_until

_ORPHAN = """
import time
from tests.servers import postgres
with postgres() as server:
    print(server.home, server.port, flush=True)
    time.sleep(60)
"""


async def test_database_when_asked_for_is_empty_and_writable(database_url: str) -> None:
    database = open_database(database_url)

    def fill(tx: sa.Connection) -> int | None:
        assert sa.inspect(tx).get_table_names() == []
        tx.execute(sa.text("CREATE TABLE one (n INTEGER)"))
        tx.execute(sa.text("INSERT INTO one VALUES (7)"))
        return tx.scalar(sa.text("SELECT n FROM one"))

    assert await database.write(fill) == 7
    await database.close()


async def test_migrated_database_when_asked_for_has_all_tables(migrated_database_url: str) -> None:
    database = open_database(migrated_database_url)
    assert await is_current(database)
    await database.close()


def test_postgres_when_the_test_process_is_killed_ends_too() -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", _ORPHAN], cwd=root, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        home, port = owner.stdout.readline().split()
        assert _answers(int(port))
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: not _answers(int(port)))
    shutil.rmtree(home)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_connection_when_it_would_leave_this_machine_is_refused() -> None:
    with socket.socket() as stray, pytest.raises(LeftThisMachine):
        stray.connect(("192.0.2.1", 80))
    with pytest.raises(LeftThisMachine):
        socket.getaddrinfo("example.com", 80)


@pytest.mark.slow
async def test_browser_when_given_a_page_renders_it_with_webgl(page: Page) -> None:
    await page.goto("data:text/html,<title>lit</title><h1>Safelight</h1><canvas></canvas>")
    assert await page.title() == "lit"
    assert await page.locator("h1").inner_text() == "Safelight"
    canvas = page.locator("canvas")
    assert await canvas.evaluate("canvas => canvas.getContext('webgl2') !== null")
    assert (await page.screenshot()).startswith(b"\x89PNG")
