"""Workers that die, and databases that are away: nothing is lost, nothing is paid twice."""

import asyncio
from datetime import timedelta

from safelight.doorbell.memory import MemoryDoorbell
from safelight.jobs.job import AttemptState, JobStatus, Outcome
from safelight.worker.upkeep.janitor import Janitor
from safelight.worker.upkeep.metrics import Signals
from safelight.worker.upkeep.retention import Retention
from tests import factories
from tests.servers import wait_until_async
from tests.workshop import LONG, MOMENT, Workshop, kill, working

# --- crashes ---------------------------------------------------------------------------------


async def test_job_when_its_worker_dies_is_resumed_by_its_ticket_and_never_restarted(
    shop: Workshop,
) -> None:
    shop.provider.check_gate.clear()
    job = await shop.queue(params={"pending": True}, repeatable=False, model="fake-paid")
    running = asyncio.create_task(shop.worker().run())  # noqa: TID251  ended by kill
    await wait_until_async(lambda: asyncio.sleep(0, shop.calls(job)["check"] == 1))
    await kill(shop, running)
    shop.provider.check_gate.set()
    async with working(shop.worker(), shop.janitor()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.attempts, done.crashes) == (1, 1)
    assert shop.calls(job)["start"] == 1
    assert len(await shop.attempts(job)) == 1


async def test_paid_attempt_when_its_worker_dies_without_a_ticket_is_never_started_again(
    shop: Workshop,
) -> None:
    shop.provider.start_gate.clear()
    job = await shop.queue(repeatable=False, model="fake-paid")
    running = asyncio.create_task(shop.worker().run())  # noqa: TID251  ended by kill
    await shop.until_sent(job)
    await kill(shop, running)
    shop.provider.start_gate.set()
    async with working(shop.worker(), shop.janitor()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["code"] == "unknown_outcome"
    assert shop.calls(job)["start"] == 1
    assert [(a.state, a.outcome) for a in await shop.attempts(job)] == [
        (AttemptState.UNKNOWN, None)
    ]


async def test_repeatable_attempt_when_its_worker_dies_is_begun_again_and_costs_one_try(
    shop: Workshop,
) -> None:
    shop.provider.start_gate.clear()
    job = await shop.queue()
    running = asyncio.create_task(shop.worker().run())  # noqa: TID251  ended by kill
    await shop.until_sent(job)
    await kill(shop, running)
    shop.provider.start_gate.set()
    async with working(shop.worker(), shop.janitor()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.attempts, done.crashes) == (1, 1)
    assert [a.outcome for a in await shop.attempts(job)] == [Outcome.LOST, Outcome.SUCCEEDED]


async def test_job_when_it_kills_three_workers_is_buried(shop: Workshop) -> None:
    job = await shop.queue()
    for _ in range(3):
        assert await factories.claim(shop.database.behind, lease=factories.LONG_AGO)
        await shop.janitor().round()
        await factories.make_due(shop.database.behind, job)
    buried = await shop.look(job)
    assert (buried.status, (buried.error or {})["code"]) == (JobStatus.FAILED, "worker_crashed")


async def test_claim_when_it_was_lost_on_the_way_back_is_found_by_the_janitor(
    shop: Workshop,
) -> None:
    """It was committed, but the worker never heard of it, and must not keep it alive."""
    job = await shop.queue()
    lease = timedelta(seconds=0.5)
    worker = shop.worker(lease=lease)
    await factories.claim(shop.database.behind, worker=worker.id, lease=lease)
    busy = await shop.queue(params={"seconds": 1})
    async with working(worker, shop.janitor()):
        await shop.until(job, JobStatus.SUCCEEDED)
        await shop.until(busy, JobStatus.SUCCEEDED)
    assert (await shop.look(busy)).crashes == 0, "its lease was renewed all the time"


async def test_job_when_it_cannot_be_settled_comes_back_after_its_lease(shop: Workshop) -> None:
    job = await shop.queue()
    shop.database.away["succeed_all"] = 1
    async with working(shop.worker(lease=timedelta(seconds=0.5)), shop.janitor()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert done.crashes == 1
    assert shop.database.away["succeed_all"] == 0


# --- outages ---------------------------------------------------------------------------------


async def test_worker_when_the_database_is_away_goes_on_once_it_is_back(shop: Workshop) -> None:
    shop.database.away["_claim"] = 3
    job = await shop.queue()
    async with working(shop.worker(look_every=MOMENT)):
        await shop.until(job, JobStatus.SUCCEEDED)
    assert shop.database.away["_claim"] == 0


async def test_worker_when_its_leases_cannot_be_renewed_keeps_its_jobs(shop: Workshop) -> None:
    shop.database.away["_renew"] = 2
    job = await shop.queue(params={"seconds": 1})
    async with working(shop.worker(lease=timedelta(seconds=0.6))):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.attempts, shop.database.away["_renew"]) == (1, 0)


async def test_janitor_when_the_database_was_away_gives_workers_a_whole_lease(
    shop: Workshop,
) -> None:
    job = await shop.queue()
    await factories.claim(shop.database.behind, lease=factories.LONG_AGO)
    janitor = shop.janitor(lease=timedelta(seconds=0.4), interval=MOMENT)
    shop.database.away["_take_back"] = 1
    began = asyncio.get_running_loop().time()
    async with working(shop.worker(slots=0), janitor):
        await shop.until(job, JobStatus.QUEUED)
    assert asyncio.get_running_loop().time() - began >= 0.4


async def test_janitor_when_a_part_of_its_round_breaks_goes_on_with_the_next(
    shop: Workshop,
) -> None:
    class Broken(MemoryDoorbell):
        def ring(self, *topics: str) -> None:
            raise ZeroDivisionError(topics)

    janitor = Janitor(
        shop.database,
        Broken(),
        shop.registry,
        Signals(shop.database, None),
        Retention(shop.database, events_kept=None, jobs_kept=None),
        assets=shop.assets,
        trash=shop.trash,
        interval=MOMENT,
        lease=timedelta(),
        sole_worker=True,
    )
    first, second = await shop.queue(), await shop.queue()
    await factories.claim(shop.database.behind, slots=1, lease=factories.LONG_AGO)
    async with working(shop.worker(slots=0), janitor):
        await shop.until(first, JobStatus.QUEUED)
        await factories.claim(shop.database.behind, lease=factories.LONG_AGO)
        await shop.until(second, JobStatus.QUEUED)


async def test_ring_when_it_is_lost_is_made_good_by_the_janitor(shop: Workshop) -> None:
    async with working(shop.worker(look_every=LONG), shop.janitor()):
        await wait_until_async(lambda: asyncio.sleep(0.1, True))
        job = await shop.queue()
        await shop.until(job, JobStatus.SUCCEEDED)
