"""SIGTERM to a worker with everything in its hands: each job ends as what it would cost allows."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import RowMapping

from safelight.db import tables
from tests.chaos.asking import look, starts, submit, until_called, until_final
from tests.chaos.cluster import Cluster, Shape, cluster
from tests.servers import PostgresServer, wait_until_async

pytestmark = pytest.mark.slow

GRACE_S = 1.0
NO_CLAIM_AFTER_S = 1.0
PAID_S = 4.0
# A long lease and a slow janitor, so that only the stop itself explains what is seen.
SETTINGS = {
    "SAFELIGHT_GRACE_S": str(GRACE_S),
    "SAFELIGHT_LEASE_S": "30",
    "SAFELIGHT_JANITOR_INTERVAL_S": "30",
}
WORK = {
    "with a ticket": ("fake", {"seconds": 3, "pending": True}),
    "free and long": ("fake", {"seconds": 20}),
    "free and nearly done": ("fake", {"seconds": 2}),
    "paid": ("fake-paid", {"seconds": PAID_S}),
}


@pytest.fixture
def whole(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Cluster]:
    with cluster(postgres_server, tmp_path, Shape(settings=SETTINGS)) as running:
        yield running


async def test_worker_when_asked_to_stop_ends_each_job_as_its_cost_allows(whole: Cluster) -> None:
    worker = whole.workers[0]
    async with whole.client() as api:
        jobs = {
            name: await submit(api, name, model, **params) for name, (model, params) in WORK.items()
        }
        began = await until_called(whole.data_dir, "start", *WORK)
        await asyncio.sleep(max(0.0, began + 2 - GRACE_S / 2 - time.time()))
        stopped_at = time.time()
        worker.ask_to_stop()
        late = await _submit_until(whole, stopped_at + 2 * NO_CLAIM_AFTER_S)
        assert worker.exit_status is None, "it left a paid call alone"
        assert worker.end() == 0
        assert time.time() - stopped_at > PAID_S / 2

        rows = await _rows(whole)
        ticketed, held = rows[jobs["with a ticket"]], rows[jobs["free and long"]]
        assert (ticketed["status"], held["status"]) == ("waiting", "queued")
        assert (held["ready"], held["crashes"], held["attempts"]) == (True, 0, 0)
        assert rows[jobs["free and nearly done"]]["status"] == "succeeded"
        assert rows[jobs["paid"]]["status"] == "succeeded"
        claimed = [row["started_at"] for row in rows.values() if row["started_at"]]
        assert max(claimed).timestamp() < stopped_at + NO_CLAIM_AFTER_S
        assert rows[late[-1]]["started_at"] is None

        worker.start()
        for job_id in (jobs["with a ticket"], *late):
            assert (await until_final(api, job_id, 20))["status"] == "succeeded"
    done_once = {name: count for name, count in starts(whole.data_dir).items() if count == 1}
    assert {"with a ticket", "free and nearly done", "paid"} <= done_once.keys()


async def test_worker_when_asked_to_stop_lets_go_of_what_it_can_resume_at_once(
    whole: Cluster,
) -> None:
    worker = whole.workers[0]
    async with whole.client() as api:
        job_id = await submit(api, "with a ticket", seconds=30, pending=True)
        await until_called(whole.data_dir, "ticket", "with a ticket")

        async def is_parked() -> bool:
            return (await _rows(whole))[job_id]["status"] == "waiting"

        await wait_until_async(is_parked)
        began = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - began < GRACE_S + 1
        assert (await look(api, job_id))["status"] == "running"


async def _submit_until(whole: Cluster, end: float) -> list[str]:
    """Send one small job after another; return their ids."""
    late: list[str] = []
    async with whole.client() as api:
        while time.time() < end:
            late.append(await submit(api, f"late {len(late)}", outputs=0))
            await asyncio.sleep(0.1)
    return late


async def _rows(whole: Cluster) -> dict[str, RowMapping]:
    database = whole.open_database()
    try:
        query = sa.select(tables.jobs)
        found = await database.read(lambda tx: tx.execute(query).mappings().all())
        return {row["id"]: row for row in found}
    finally:
        await database.close()
