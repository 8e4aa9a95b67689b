"""Running jobs that are canceled, stopped or out of time."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from safelight.db import tables
from safelight.db.types import now
from safelight.doorbell import doorbell
from safelight.jobs.job import Job, JobStatus, Outcome
from safelight.jobs.ledger import moves
from safelight.providers.provider import Lane
from safelight.providers.registry import Registry
from tests.servers import wait_until_async
from tests.workshop import LONG, MOMENT, Workshop, until_closed, working


@pytest.mark.parametrize("rung", [True, False])
async def test_job_when_canceled_while_running_stops_the_work_here(
    shop: Workshop, rung: bool
) -> None:
    lease = LONG if rung else timedelta(seconds=0.6)
    job = await shop.queue(params={"seconds": 60})
    async with working(shop.worker(lease=lease), shop.janitor()):
        await shop.until_sent(job)
        await shop.database.write(lambda tx: moves.cancel(tx, job.id))
        if rung:
            shop.bell.ring(doorbell.HALT)
        await wait_until_async(lambda: asyncio.sleep(0, job.prompt in shop.provider.let_go), 2)
        await until_closed(shop, job, Outcome.CANCELED)
    assert (await shop.look(job)).status is JobStatus.CANCELED


async def test_job_when_the_worker_stops_is_handed_back_and_finished_by_another(
    shop: Workshop,
) -> None:
    shop.provider.start_gate.clear()
    job = await shop.queue()
    async with working(shop.worker()):
        await shop.until_sent(job)
    back = await shop.look(job)
    assert (back.status, back.ready, back.crashes, back.attempts) == (JobStatus.QUEUED, True, 0, 0)
    shop.provider.start_gate.set()
    async with working(shop.worker()):
        await shop.until(job, JobStatus.SUCCEEDED)


async def test_job_when_the_worker_stops_during_a_check_is_handed_back_to_wait(
    shop: Workshop,
) -> None:
    shop.provider.check_gate.clear()
    job = await shop.queue(params={"pending": True}, repeatable=False)
    async with working(shop.worker()):
        await wait_until_async(lambda: asyncio.sleep(0, shop.calls(job)["check"] == 1))
    assert (await shop.look(job)).status is JobStatus.WAITING
    shop.provider.check_gate.set()
    async with working(shop.worker()):
        await shop.until(job, JobStatus.SUCCEEDED)
    assert shop.calls(job)["start"] == 1


async def test_job_when_the_worker_stops_gets_its_grace_to_finish(shop: Workshop) -> None:
    job = await shop.queue(params={"seconds": 0.3})
    later = await shop.queue(run_at=(await shop.look(job)).created_at + LONG)
    async with working(shop.worker(grace=LONG)):
        await shop.until_sent(job)
    assert (await shop.look(job)).status is JobStatus.SUCCEEDED
    assert (await shop.look(later)).status is JobStatus.QUEUED


async def test_job_when_it_takes_too_long_is_stopped_and_fails(shop: Workshop) -> None:
    job = await shop.queue(params={"seconds": 60}, timeout_s=0.3)
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["code"] == "timed_out"
    assert job.prompt in shop.provider.let_go


async def test_job_when_its_provider_takes_too_long_fails_and_is_canceled_there(
    shop: Workshop,
) -> None:
    job = await shop.queue(params={"pending": True, "seconds": 60})
    async with working(shop.worker(), shop.janitor()):
        await shop.until(job, JobStatus.WAITING)
        # Only now is its time up: a start that ran out of time would leave no ticket to cancel by.
        await shop.database.behind.write(lambda tx: tx.execute(_time_is_up(job)))
        shop.bell.ring(doorbell.lane(Lane.REMOTE))
        done = await shop.until(job, JobStatus.FAILED)
        assert (done.error or {})["code"] == "timed_out"
        await until_closed(shop, job, Outcome.CANCELED)
    assert (shop.calls(job)["start"], shop.calls(job)["cancel"]) == (1, 1)


def _time_is_up(job: Job) -> sa.Update:
    return (
        sa.update(tables.jobs)
        .where(tables.jobs.c.id == job.id)
        .values(started_at=job.created_at - job.timeout, run_at=now())
    )


async def test_job_when_its_deadline_passes_unstarted_fails(shop: Workshop) -> None:
    job = await shop.queue()
    late = sa.update(tables.jobs).values(start_by=job.created_at + MOMENT)
    await shop.database.behind.write(lambda tx: tx.execute(late))
    shop.registry = Registry([])
    async with working(shop.worker(slots=0), shop.janitor()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["code"] == "deadline_passed"
    assert done.started_at is None
