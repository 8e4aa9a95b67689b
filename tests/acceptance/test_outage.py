"""PostgreSQL and the doorbell go away and come back: no process ends, and no work is redone."""

import asyncio
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from safelight.db import tables
from tests.chaos.asking import look, seconds, starts, submit, until_called, until_final
from tests.chaos.cluster import JANITOR_S, LEASE_S, Cluster, Shape, cluster
from tests.servers import PostgresServer, wait_until_async

pytestmark = pytest.mark.slow

OUTAGE_S = 30.0
READY_AGAIN_S = 10.0
RESCUE_S = LEASE_S + 10.0
ANSWER_S = 5.0
SLACK_S = 1.0  # of a busy machine


@pytest.fixture
def whole(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Cluster]:
    with cluster(postgres_server, tmp_path, Shape()) as running:
        yield running


# What ends in the middle of the outage has nowhere to be written down then.
WORK = {
    "paid, ends meanwhile": ("fake-paid", {"seconds": 4}),
    "paid, ends afterwards": ("fake-paid", {"seconds": 34}),
    "free, ends meanwhile": ("fake", {"seconds": 4}),
    "free, ends afterwards": ("fake", {"seconds": 34}),
    "with a ticket": ("fake", {"seconds": 4, "pending": True}),
    "paid, with a ticket": ("fake-paid", {"seconds": 4, "pending": True}),
}


async def test_installation_when_postgresql_is_away_waits_and_finishes_all_work_once(
    whole: Cluster,
) -> None:
    async with whole.client() as api:
        jobs = [await submit(api, name, model, **params) for name, (model, params) in WORK.items()]
        await until_called(whole.data_dir, "start", *WORK)
        whole.database.kill()
        await _refused_for(api, OUTAGE_S)
        whole.database.start()
        await wait_until_async(lambda: _is_ready(api), READY_AGAIN_S)
        assert [process.exit_status for process in whole.processes] == [None] * 3
        ended = [await until_final(api, job_id, 30) for job_id in jobs]
    assert {job["prompt"]: job["status"] for job in ended} == dict.fromkeys(WORK, "succeeded")
    assert starts(whole.data_dir) == dict.fromkeys(WORK, 1)


async def test_job_when_its_worker_died_in_an_outage_is_rescued_a_lease_after_it(
    whole: Cluster,
) -> None:
    async with whole.client() as api:
        job_id = await submit(api, "held", seconds=1)
        await until_called(whole.data_dir, "start", "held")
        whole.workers[0].kill()
        whole.database.kill()
        await asyncio.sleep(LEASE_S + SLACK_S)  # the lease has run out by then
        back_at = time.time()
        whole.database.start()
        rescued_at = await wait_until_async(lambda: _rescued_at(whole, job_id), RESCUE_S)
        whole.workers[0].start()
        assert (await until_final(api, job_id, 30))["status"] == "succeeded"
    assert LEASE_S <= rescued_at - back_at <= RESCUE_S
    assert starts(whole.data_dir) == {"held": 2}


async def test_installation_when_the_doorbell_is_away_is_degraded_and_works_on(
    whole: Cluster,
) -> None:
    async with whole.client() as api:
        assert await _health(api) == (HTTPStatus.OK, "ok")
        whole.doorbell.kill()
        await wait_until_async(lambda: _has_health(api, "degraded"))
        job = await until_final(api, await submit(api, "unheard"), 10)
        assert job["status"] == "succeeded"
        assert seconds(job["started_at"]) - seconds(job["created_at"]) < JANITOR_S + SLACK_S
        whole.doorbell.start()
        await wait_until_async(lambda: _has_health(api, "ok"), READY_AGAIN_S)
        job_id = await submit(api, "heard again")
        assert (await until_final(api, job_id, 10))["status"] == "succeeded"
        assert (await look(api, job_id))["attempts"] == 1


async def _refused_for(api: httpx2.AsyncClient, seconds: float) -> None:
    """Ask again and again for so long: each answer is a refusal, a quick one, with advice."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for asked in (
            api.get("/v1/jobs"),
            api.post("/v1/generate", json={"prompt": "too soon", "model": "fake"}),
        ):
            began = time.monotonic()
            answer = await asked
            assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE, answer.text
            assert answer.json()["code"] == "unavailable"
            assert int(answer.headers["Retry-After"]) > 0
            assert time.monotonic() - began < ANSWER_S
        assert await _health(api) == (HTTPStatus.SERVICE_UNAVAILABLE, "unready")
        assert (await api.get("/health/live")).status_code == HTTPStatus.OK
        await asyncio.sleep(0.3)


async def _health(api: httpx2.AsyncClient) -> tuple[int, str]:
    answer = await api.get("/health/ready")
    return answer.status_code, answer.json()["status"]


async def _has_health(api: httpx2.AsyncClient, status: str) -> bool:
    return await _health(api) == (HTTPStatus.OK, status)


async def _is_ready(api: httpx2.AsyncClient) -> bool:
    return (await _health(api))[0] == HTTPStatus.OK


async def _rescued_at(whole: Cluster, job_id: str) -> float | None:
    """Return when the job was last queued, once that was for the second time."""
    query = (
        sa.select(tables.events.c.created_at)
        .where(tables.events.c.subject == job_id, tables.events.c.type == "job.queued")
        .order_by(tables.events.c.seq)
        .offset(1)
    )
    database = whole.open_database()
    try:
        found = await database.read(lambda tx: tx.scalar(query))
        return None if found is None else found.timestamp()
    finally:
        await database.close()
