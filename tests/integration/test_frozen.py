"""A database or storage that is frozen: every request is answered in seconds."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import httpx2
import pytest
import sqlalchemy as sa

from safelight.accounts.scopes import OWNER_SCOPES
from safelight.app import Safelight, open_safelight
from safelight.db.engine import PostgresDatabase
from safelight.errors import ServiceError
from safelight.settings import Settings
from safelight.storage.storage import Storage, Stored
from safelight.web import server
from tests.servers import PostgresServer, postgres, wait_until_async

pytestmark = pytest.mark.slow

ANSWER_S = 3.0


@pytest.fixture(scope="module")
def apart() -> Iterator[PostgresServer]:
    """A PostgreSQL that no other test uses."""
    with postgres() as running:
        yield running


@contextmanager
def frozen(apart: PostgresServer) -> Iterator[None]:
    parent = int((apart.home / "data" / "postmaster.pid").read_text().split()[0])
    stopped = [parent, *_children(parent)]
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)


def _children(parent: int) -> list[int]:
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


async def answer_s(database: PostgresDatabase) -> float:
    began = time.monotonic()
    with pytest.raises(ServiceError, match="does not answer") as caught:
        await database.read(lambda tx: tx.scalar(sa.select(1)))
    assert caught.value.retry_after
    return time.monotonic() - began


async def test_calls_when_postgresql_is_frozen_then_end_soon_and_go_on_after_it(
    apart: PostgresServer,
) -> None:
    database = PostgresDatabase(apart.create_database(), pool_size=2)
    assert await database.read(lambda tx: tx.scalar(sa.select(1))) == 1
    with frozen(apart):
        first = await asyncio.gather(*(answer_s(database) for _ in range(50)))
        assert max(first) < ANSWER_S
        later = await asyncio.gather(*(answer_s(database) for _ in range(50)))
        assert max(later) < 0.5  # known to be away: nothing waits

    async def is_back() -> bool:
        try:
            return await database.write(lambda tx: tx.scalar(sa.select(1))) == 1
        except ServiceError:
            return False

    await wait_until_async(is_back, 10)
    await database.close()


async def test_call_when_it_is_slow_alone_then_is_waited_for(apart: PostgresServer) -> None:
    database = PostgresDatabase(apart.create_database(), pool_size=1)
    slow = sa.text("SELECT 7 FROM pg_sleep(2.5)")
    assert await database.read(lambda tx: tx.scalar(slow)) == 7
    await database.close()


@pytest.fixture
async def opened(apart: PostgresServer, tmp_path: Path) -> AsyncIterator[tuple[Safelight, str]]:
    url = apart.create_database()
    settings = Settings(data_dir=tmp_path, database_url=url, fake_provider=True, min_free_bytes=0)
    async with open_safelight(settings) as safelight:
        account = await safelight.services.accounts.ensure_first("somebody")
        keys = safelight.services.access.keys
        yield safelight, (await keys.create(account.id, "test", scopes=OWNER_SCOPES)).secret


async def test_requests_when_postgresql_is_frozen_then_are_told_to_come_again(
    apart: PostgresServer, opened: tuple[Safelight, str]
) -> None:
    safelight, key = opened
    async with client_of(safelight, key) as client:
        asked = [
            client.build_request("GET", "/v1/jobs"),
            client.build_request("POST", "/v1/generate", json={"prompt": "a cat"}),
            client.build_request("GET", "/v1/assets"),
            client.build_request("GET", "/v1/jobs/job_1/events"),
            client.build_request("GET", "/health/ready"),
        ]

        async def send(request: httpx2.Request) -> tuple[httpx2.Response, float]:
            began = time.monotonic()
            answer = await client.send(request)
            return answer, time.monotonic() - began

        with frozen(apart):
            for answer, took_s in await asyncio.gather(*map(send, asked * 5)):
                assert answer.status_code == 503, answer.text
                assert took_s < ANSWER_S
                if answer.request.url.path != "/health/ready":
                    assert int(answer.headers["retry-after"]) >= 1


def client_of(safelight: Safelight, key: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(safelight.asgi),
        base_url="http://127.0.0.1",
        headers={"Authorization": f"Bearer {key}"},
    )


class HangingStorage:
    """Storage that knows of every object, and hangs with its `head` or its bytes."""

    def __init__(self, *, knows: bool, size: int) -> None:
        self._knows = knows
        self._size = size

    async def head(self, key: str) -> Stored:
        if not self._knows:
            await asyncio.Event().wait()
        return cast("Stored", type("Known", (), {"bytes": self._size, "etag": "x", "key": key}))

    async def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


@pytest.mark.parametrize(("knows", "size"), [(False, 9), (True, 9), (True, 9_000_000)])
async def test_file_when_storage_hangs_then_is_refused_within_five_seconds(
    tmp_path: Path, knows: bool, size: int
) -> None:
    async with open_safelight(Settings(data_dir=tmp_path)) as safelight:
        storage = cast("Storage", HangingStorage(knows=knows, size=size))
        files = replace(safelight.services.files, storage=storage)
        services = replace(safelight.services, files=files)
        app = server.build(services, version="test")
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            began = time.monotonic()
            answer = await client.get("/files/images/job_1/a.png")
            assert time.monotonic() - began < 5
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_failed")
    assert int(answer.headers["retry-after"]) >= 1
