"""Each run rings at its end: for its job, for its batch, and for its lane where it goes on."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from safelight.db import tables
from safelight.db.types import clock, now
from safelight.doorbell import doorbell
from safelight.doorbell.memory import MemoryDoorbell
from safelight.jobs.job import Job, JobStatus
from safelight.jobs.ledger import batch_store
from safelight.jobs.scheduling import claims
from safelight.providers.errors import ProviderError, ProviderRefused
from safelight.providers.provider import Lane
from safelight.worker.attempt.run_state import Clock, Run
from tests import factories
from tests.workshop import Workshop, working

LANE = doorbell.lane(Lane.REMOTE)
HOUR = timedelta(hours=1)


class Ledger(MemoryDoorbell):
    """A doorbell that writes down the topics of each ring, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.rings: list[set[str]] = []

    def ring(self, *topics: str) -> None:
        self.rings.append(set(topics))
        super().ring(*topics)


async def queued_in_a_batch(
    shop: Workshop, *, params: dict[str, Any] | None = None, **changes: Any
) -> Job:
    """Return the one job of a new batch."""
    row = factories.batch_row(shop.account)
    batch = await shop.database.write(lambda tx: batch_store.insert(tx, row))
    return await shop.queue(params=params, batch_id=batch.id, batch_index=0, **changes)


async def run(shop: Workshop, job: Job) -> tuple[Job, list[set[str]]]:
    """Run a claimed job; return what became of it, and every ring meanwhile."""
    bell = Ledger()
    await replace(shop.runner, bell=bell).run(Run(job, Clock(await shop.database.read(clock))))
    return await shop.look(job), bell.rings


@pytest.mark.parametrize(
    ("error", "params", "status", "goes_on"),
    [
        (None, {}, JobStatus.SUCCEEDED, False),
        (ProviderRefused("no"), {}, JobStatus.FAILED, False),
        (ProviderError("down"), {}, JobStatus.QUEUED, True),
        (None, {"pending": True, "seconds": 3600}, JobStatus.WAITING, True),
    ],
    ids=["succeeded", "failed", "retried", "parked"],
)
async def test_run_when_settled_rings_for_its_job_its_batch_and_its_lane(
    shop: Workshop,
    error: Exception | None,
    params: dict[str, Any],
    status: JobStatus,
    goes_on: bool,
) -> None:
    shop.provider.start_error = error
    await queued_in_a_batch(shop, params=params)
    (job,) = await factories.claim(shop.database)
    settled, rings = await run(shop, job)
    assert settled.status is status
    expected = {doorbell.subject(job.id), doorbell.subject(job.batch_id or "")}
    # The last ring, as one that comes before the commit tells nobody anything new.
    assert rings[-1] == expected | ({LANE} if goes_on else set[str]())
    assert len(rings) == 1, "such a short run has no progress to tell"


async def test_follower_when_nobody_looks_by_itself_hears_of_the_end_by_ring(
    shop: Workshop,
) -> None:
    """As streams do: look, wait for a ring, look again."""
    shop.provider.start_gate.clear()
    job = await shop.queue()
    async with working(shop.worker(look_every=HOUR)):
        await shop.until_sent(job)
        with shop.bell.listen(doorbell.subject(job.id)) as bell:
            async with asyncio.timeout(10):
                shop.provider.start_gate.set()
                while (await shop.look(job)).status is not JobStatus.SUCCEEDED:
                    assert await bell.wait(HOUR) == {doorbell.subject(job.id)}


@pytest.mark.parametrize("how", ["expired", "rescued"])
async def test_janitor_when_it_moves_a_job_rings_for_it_its_batch_and_the_lane_it_waits_in(
    shop: Workshop, how: str
) -> None:
    bell = Ledger()
    job = await queued_in_a_batch(shop, start_by=factories.NOON)
    if how == "expired":
        late = sa.update(tables.jobs).values(start_by=now(-HOUR))
        await shop.database.write(lambda tx: tx.execute(late))
    else:
        assert await factories.claim(shop.database)
        await shop.database.write(claims.end_all_leases)
    await replace(shop, bell=bell).janitor().round()
    assert (await shop.look(job)).seq > job.seq, "it was moved"
    expected = {doorbell.subject(job.id), doorbell.subject(job.batch_id or "")}
    expected |= {LANE} if how == "rescued" else set()
    assert expected <= set[str]().union(*bell.rings)
