"""Open attempts of ended jobs: canceled at the provider, their costs kept."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from safelight.db import tables
from safelight.jobs.job import AttemptState, Ground, JobStatus, Outcome
from safelight.jobs.ledger import moves
from safelight.providers.errors import ProviderError
from tests import factories
from tests.servers import wait_until_async
from tests.workshop import LONG, Workshop, until_closed, working


async def test_ticket_of_a_canceled_job_when_swept_is_canceled_at_the_provider(
    shop: Workshop,
) -> None:
    job = await shop.queue(params={"pending": True, "seconds": 60})
    async with working(shop.worker(), shop.janitor()):
        await shop.until(job, JobStatus.WAITING)
        await shop.database.write(lambda tx: moves.cancel(tx, job.id))
        await until_closed(shop, job, Outcome.CANCELED)
    assert shop.calls(job)["cancel"] == 1


@pytest.mark.parametrize(
    "error", [ProviderError(), RuntimeError("a plug's own fault"), OSError("broken pipe")]
)
async def test_sweep_when_a_provider_cannot_be_told_asks_again_and_rescues_all_the_same(
    shop: Workshop, error: Exception
) -> None:
    shop.provider.cancel_error = error
    job = await shop.queue(params={"pending": True, "seconds": 60})
    async with working(shop.worker()):
        await shop.until(job, JobStatus.WAITING)
    await shop.database.write(lambda tx: moves.cancel(tx, job.id))
    orphan = await shop.queue()
    await factories.claim(shop.database.behind, lease=factories.LONG_AGO)
    async with working(shop.worker(slots=0), shop.janitor()):
        await wait_until_async(lambda: asyncio.sleep(0, shop.calls(job)["cancel"] >= 2))
        await shop.until(orphan, JobStatus.QUEUED)
        assert (await shop.attempts(job))[-1].state is AttemptState.TICKETED
        shop.provider.cancel_error = None
        await until_closed(shop, job, Outcome.CANCELED)


async def test_sweep_when_a_provider_is_no_longer_installed_goes_on_with_others(
    shop: Workshop,
) -> None:
    jobs = [await shop.queue(params={"pending": True, "seconds": 60}) for _ in range(25)]
    async with working(shop.worker(slots=25)):
        for job in jobs:
            await shop.until(job, JobStatus.WAITING)
    gone = sorted(job.id for job in jobs)[:22]
    foreign = sa.update(tables.attempts).where(tables.attempts.c.job_id.in_(gone))
    await shop.database.write(lambda tx: tx.execute(foreign.values(provider="uninstalled")))
    for job in jobs:
        await shop.database.write(lambda tx, job=job: moves.cancel(tx, job.id))
    janitor = shop.janitor()
    await janitor.round()
    await janitor.round()
    for job in jobs:
        state = (await shop.attempts(job))[-1].state
        assert state is (AttemptState.TICKETED if job.id in gone else AttemptState.CLOSED)


async def test_ticket_when_it_comes_after_its_job_was_canceled_and_swept_is_canceled_too(
    shop: Workshop,
) -> None:
    shop.provider.start_gate.clear()
    job = await shop.queue(params={"pending": True, "seconds": 60}, repeatable=False)
    janitor = shop.janitor(lease=LONG)
    async with working(shop.worker(), janitor):
        await shop.until_sent(job)
        await shop.database.write(lambda tx: moves.cancel(tx, job.id))  # and nobody rings
        await janitor.round()
        assert (await shop.attempts(job))[-1].state is AttemptState.SENT
        shop.provider.start_gate.set()
        await until_closed(shop, job, Outcome.CANCELED)
    assert shop.calls(job)["cancel"] == 1


async def test_result_when_its_job_was_canceled_meanwhile_is_dropped_but_its_cost_kept(
    shop: Workshop, tmp_path: Path
) -> None:
    job = await shop.queue(params={"outputs": 1}, repeatable=False)
    shop.intake.overtake = lambda: shop.database.write(lambda tx: moves.cancel(tx, job.id))
    async with working(shop.worker()):
        await shop.until(job, JobStatus.CANCELED)

        async def known() -> bool:
            return (await shop.attempts(job))[-1].cost_micros == 0

        await wait_until_async(known)
    (attempt,) = await shop.attempts(job)
    assert (attempt.ground, attempt.outcome) == (Ground.VERDICT, Outcome.CANCELED)
    images = tmp_path / "objects" / "images"
    assert not [path for path in images.rglob("*") if path.is_file()]
