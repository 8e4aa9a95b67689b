"""Processes that do the work are known, and a lane with work that nobody serves is told of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from safelight.accounts.scopes import OWNER_SCOPES
from safelight.app import ALL_ROLES, ProcessRole, Safelight, open_safelight
from safelight.db.engine import Database
from safelight.jobs.errors import NoWorker
from safelight.jobs.operations import Operations
from safelight.jobs.scheduling import presence
from safelight.jobs.scheduling.presence import Beat
from safelight.settings import Settings
from tests import factories
from tests.servers import free_port, wait_until_async

LEASE = timedelta(seconds=1)


def said(process_id: str = "wrk_1", **lanes: int) -> Beat:
    roles = ["worker"] if lanes else ["janitor"]
    return Beat(process_id, "here", 7, roles, lanes, "1.0", 3, LEASE)


async def test_worker_when_it_is_killed_then_is_seen_within_its_lease(
    database: Database,
) -> None:
    operations = Operations(database)
    await database.write(lambda tx: presence.beat(tx, said(remote=4, local=2)))
    (alive,) = await operations.processes()
    assert (alive.id, alive.host, alive.pid, alive.version) == ("wrk_1", "here", 7, "1.0")
    assert (alive.lanes, alive.running, alive.alive) == ({"remote": 4, "local": 2}, 3, True)

    async def is_gone() -> bool:
        return not (await operations.processes())[0].alive

    await wait_until_async(is_gone, LEASE.total_seconds() + 1)
    await database.write(lambda tx: presence.beat(tx, said(remote=4)))
    (again,) = await operations.processes()
    assert again.alive
    assert again.started_at == alive.started_at < again.seen_at
    await database.write(lambda tx: presence.leave(tx, "wrk_1"))
    assert await operations.processes() == []


@asynccontextmanager
async def _owner(safelight: Safelight) -> AsyncIterator[httpx2.AsyncClient]:
    account = await safelight.services.accounts.ensure_first("somebody")
    keys = safelight.services.access.keys
    key = (await keys.create(account.id, "test", scopes=OWNER_SCOPES)).secret
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(safelight.asgi),
        base_url="http://127.0.0.1",
        headers={"Authorization": f"Bearer {key}"},
    ) as client:
        yield client


async def test_lane_when_nobody_serves_its_work_then_is_named(
    database: Database, account: str
) -> None:
    operations = Operations(database)
    assert await operations.check_workers() == "none alive"  # and nothing to do
    job = await factories.queue(database, account)
    for beat in (said("wrk_2"), said("wrk_3", other=1), said("wrk_4", **{job.lane: 0})):
        await database.write(lambda tx, beat=beat: presence.beat(tx, beat))
    with pytest.raises(NoWorker, match=f"lane {job.lane}.*--lanes {job.lane}"):
        await operations.check_workers()
    await database.write(lambda tx: presence.beat(tx, said("wrk_5", **{job.lane: 1})))
    assert await operations.check_workers() == "1 janitor, 3 worker"


async def test_installation_when_no_worker_lives_then_says_so_everywhere(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, fake_provider=True, min_free_bytes=0, lease_s=3)
    async with open_safelight(settings) as safelight, _owner(safelight) as client:
        sent = {"prompt": "a cat", "model": "fake"}
        job = (await client.post("/v1/generate", json=sent)).json()
        shown = (await client.get(f"/v1/jobs/{job['id']}")).json()
        lane = shown["stage"].removeprefix("no worker serves lane ")
        assert (shown["status"], shown["queue_position"]) == ("queued", None)
        (listed,) = (await client.get("/v1/jobs")).json()["data"]
        assert listed["stage"] == shown["stage"]
        urls = {"urls": ["https://media.test/a.png"]}
        batch = (await client.post("/v1/images", json=urls)).json()
        (item,) = (await client.get(f"/v1/batches/{batch['id']}")).json()["items"]
        assert item["job"]["stage"] == "no worker serves lane ingest"
        await client.post(f"/v1/jobs/{item['job']['id']}/cancel")  # nobody is there to ask
        ready = (await client.get("/health/ready")).json()
        assert ready["status"] == "degraded"
        assert lane in ready["checks"]["workers"]["detail"]
        checks = (await client.post("/v1/admin/checks")).json()["data"]
        (check,) = [each for each in checks if each["name"] == "workers"]
        assert (check["status"], check["code"]) == ("failed", "no_worker")
        assert (await client.get("/v1/admin/workers")).json()["data"] == []

        async with asyncio.TaskGroup() as group:
            group.create_task(safelight.work())

            async def is_done() -> bool:
                return (await client.get(f"/v1/jobs/{job['id']}")).json()["status"] == ("succeeded")

            await wait_until_async(is_done, 20)
            (worker,) = (await client.get("/v1/admin/workers")).json()["data"]
            assert worker["alive"]
            assert set(worker["roles"]) == {"api", "worker", "janitor", "notifier"}
            assert worker["lanes"][lane] > 0
            assert (await client.get("/health/ready")).json()["status"] == "ok"

            async def is_measured() -> bool:
                text = (await client.get("/metrics")).text
                return f'safelight_workers{{lane="{lane}"}} 1.0' in text

            await wait_until_async(is_measured, 20)
            safelight.stop()
        assert (await client.get("/v1/admin/workers")).json()["data"] == []


async def test_installation_when_its_mail_server_is_down_then_is_degraded(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        mail_url=SecretStr(f"smtp://127.0.0.1:{free_port()}"),
        mail_from="news@safelight.test",
    )
    async with open_safelight(settings) as safelight:
        transport = httpx2.ASGITransport(safelight.asgi)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            ready = await client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert "The mail server could not be reached" in ready.json()["checks"]["mail"]["detail"]


GPU_MODELS = """
[[diffusers.models]]
id = "own"
source = "/srv/models/own"
"""


@pytest.mark.parametrize(
    ("roles", "status", "said"),
    [
        (frozenset({ProcessRole.API}), "unknown", "its workers are elsewhere: run doctor there"),
        (ALL_ROLES, "failed", "diffusers"),
    ],
)
async def test_checks_when_the_workers_of_a_gpu_are_elsewhere_then_say_so(
    tmp_path: Path, roles: frozenset[ProcessRole], status: str, said: str
) -> None:
    catalogue = tmp_path / "models.toml"
    catalogue.write_text(GPU_MODELS)
    settings = Settings(data_dir=tmp_path, catalogue=catalogue, min_free_bytes=0)
    async with open_safelight(settings, roles) as safelight, _owner(safelight) as client:
        answer = await client.post("/v1/admin/checks/diffusers")
    (check,) = answer.json()["data"]
    assert check["status"] == status
    assert said in check["detail"]
