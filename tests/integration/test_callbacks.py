"""Callbacks settle jobs without a poll, adopt work whose answer was lost, and do nothing else."""

import asyncio
from datetime import timedelta

import pytest

from safelight.errors import Forbidden, NotFound
from safelight.fetch.errors import FetchError
from safelight.jobs.job import Attempt, AttemptState, Job, JobStatus, Outcome
from safelight.jobs.ledger import moves
from safelight.providers.errors import ProviderError, ProviderUnauthorized, UnknownOutcome
from tests.servers import wait_until_async
from tests.workshop import LONG, Workshop, kill, working

HOURS = {"pending": True, "seconds": 3600}


async def until_state(shop: Workshop, job: Job, state: AttemptState) -> Attempt:
    async def there() -> Attempt | None:
        found = await shop.attempts(job)
        return found[-1] if found and found[-1].state is state else None

    found = await wait_until_async(there)
    assert found is not None
    return found


async def test_job_when_its_provider_reports_is_done_without_a_look_at_it(shop: Workshop) -> None:
    job = await shop.queue(params=HOURS | {"outputs": 1})
    async with working(shop.worker()):
        await shop.until(job, JobStatus.WAITING)
        await shop.report(job)
        await shop.until(job, JobStatus.SUCCEEDED)
    assert shop.calls(job)["check"] == 0
    assert shop.calls(job)["start"] == 1


async def test_many_jobs_when_each_is_reported_twice_are_done_once(shop: Workshop) -> None:
    jobs = [await shop.queue(params=HOURS) for _ in range(20)]
    async with working(shop.worker(slots=20)):
        for job in jobs:
            await shop.until(job, JobStatus.WAITING)
        await asyncio.gather(*(shop.report(job) for job in [*jobs, *reversed(jobs)]))
        for job in jobs:
            await shop.until(job, JobStatus.SUCCEEDED)
    for job in jobs:
        assert shop.calls(job) == {"start": 1, "ticket": 1, "end": 1}


async def test_callback_when_it_comes_before_start_returns_is_kept_and_found(
    shop: Workshop,
) -> None:
    shop.provider.start_gate.clear()
    job = await shop.queue(params=HOURS)
    async with working(shop.worker()):
        await shop.until_sent(job)
        assert await shop.report(job) is not None
        assert (await shop.look(job)).status is JobStatus.RUNNING
        shop.provider.start_gate.set()
        await shop.until(job, JobStatus.SUCCEEDED)
    assert shop.calls(job)["check"] == 0


async def test_callback_when_unproven_only_leads_to_a_look(shop: Workshop) -> None:
    job = await shop.queue(params=HOURS)
    async with working(shop.worker()):
        await shop.until(job, JobStatus.WAITING)
        await shop.report(job, proof="none")
        await wait_until_async(lambda: _has_looked(shop, job))
        assert (await shop.until(job, JobStatus.WAITING)).finished_at is None


async def _has_looked(shop: Workshop, job: Job) -> bool:
    return shop.calls(job)["check"] == 1


async def test_callback_when_forged_does_nothing(shop: Workshop) -> None:
    job = await shop.queue(params=HOURS)
    async with working(shop.worker()):
        await shop.until(job, JobStatus.WAITING)
        before = await shop.look(job)
        with pytest.raises(Forbidden):
            await shop.report(job, proof="forged")
        url = shop.provider.urls[job.prompt]
        for made_up in (
            url[:-1],
            f"{url}x",
            url.replace("att_", "att_0"),
            "att_1.x",
            "",
            "shared.",
        ):
            with pytest.raises(NotFound):
                await shop.report(job, url=made_up or "/")
        assert await shop.look(job) == before


async def test_callback_when_the_job_has_ended_changes_nothing(shop: Workshop) -> None:
    job = await shop.queue(params=HOURS)
    async with working(shop.worker()):
        await shop.until(job, JobStatus.WAITING)
        await shop.database.write(lambda tx: moves.cancel(tx, job.id))
        ended = await shop.look(job)
        await shop.report(job)
    assert await shop.look(job) == ended
    assert ended.status is JobStatus.CANCELED


async def test_lost_answer_when_a_callback_tells_the_ticket_is_adopted_and_not_begun_again(
    shop: Workshop,
) -> None:
    shop.provider.adopts_within = timedelta(minutes=10)
    shop.provider.start_error = UnknownOutcome()
    job = await shop.queue(repeatable=False, model="fake-paid", params=HOURS)
    async with working(shop.worker()):
        waiting = await shop.until(job, JobStatus.WAITING)
        assert waiting.stage == "waiting to hear whether the provider has it"
        await until_state(shop, job, AttemptState.UNKNOWN)
        await shop.report(job, ticket="9999999999-x")
        done = await shop.until(job, JobStatus.SUCCEEDED)
    (attempt,) = await shop.attempts(job)
    assert (attempt.ticket, attempt.outcome) == ("9999999999-x", Outcome.SUCCEEDED)
    assert (shop.calls(job)["start"], done.attempts) == (1, 1)


async def test_lost_answer_when_the_provider_knows_the_attempt_is_adopted_by_asking(
    shop: Workshop,
) -> None:
    shop.provider.adopts_within = timedelta(minutes=10)
    shop.provider.start_gate.clear()
    job = await shop.queue(repeatable=False, model="fake-paid")
    running = asyncio.create_task(shop.worker().run())  # noqa: TID251  ended by kill
    await shop.until_sent(job)
    (attempt,) = await shop.attempts(job)
    shop.provider.known[attempt.id] = "0-x"
    await kill(shop, running)
    async with working(shop.worker(), shop.janitor()):
        await shop.until(job, JobStatus.SUCCEEDED)
    (attempt,) = await shop.attempts(job)
    assert (attempt.ticket, attempt.outcome) == ("0-x", Outcome.SUCCEEDED)
    assert shop.calls(job)["start"] == 1


@pytest.mark.parametrize(
    "errors",
    [[ProviderError(), FetchError()], [ProviderUnauthorized()], [ValueError("unforeseen")]],
    ids=["passing", "refused", "unforeseen"],
)
async def test_lost_answer_when_asking_for_it_fails_is_asked_for_again(
    shop: Workshop, errors: list[Exception]
) -> None:
    shop.provider.adopts_within = timedelta(minutes=10)
    shop.provider.start_gate.clear()
    job = await shop.queue(repeatable=False, model="fake-paid")
    running = asyncio.create_task(shop.worker().run())  # noqa: TID251  ended by kill
    await shop.until_sent(job)
    (attempt,) = await shop.attempts(job)
    shop.provider.known[attempt.id] = "0-x"
    shop.provider.look_up_errors += errors
    await kill(shop, running)
    async with working(shop.worker(), shop.janitor()):
        await shop.until(job, JobStatus.SUCCEEDED)
    assert shop.calls(job)["start"] == 1


async def test_lost_answer_when_nobody_tells_in_time_fails_for_a_person_to_judge(
    shop: Workshop,
) -> None:
    shop.provider.adopts_within = timedelta(seconds=1)
    shop.provider.start_error = UnknownOutcome()
    job = await shop.queue(repeatable=False, model="fake-paid")
    async with working(shop.worker(look_every=LONG)):
        await shop.until(job, JobStatus.WAITING)
        await asyncio.sleep(1)  # as long as it may take to hear
        await shop.report(job, proof="none")
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["code"] == "unknown_outcome"
    assert shop.calls(job)["start"] == 1
