"""A worker, its runner and the janitor at work, on both databases: how jobs end."""

from safelight.assets import store as asset_store
from safelight.doorbell import doorbell
from safelight.jobs.job import JobStatus, Outcome
from safelight.providers.provider import (
    Lane,
)
from tests.workshop import Workshop, working


async def test_job_when_all_goes_well_succeeds_with_its_outputs(shop: Workshop) -> None:
    async with working(shop.worker()):
        job = await shop.queue(params={"outputs": 2})
        shop.bell.ring(doorbell.lane(Lane.REMOTE))
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.progress, done.attempts, done.cost_micros, done.error) == (100.0, 1, 0, None)
    outputs = await shop.database.read(lambda tx: asset_store.of_jobs(tx, [job.id]))
    assert [asset.position for asset in outputs[job.id]] == [0, 1]
    assert [attempt.outcome for attempt in await shop.attempts(job)] == [Outcome.SUCCEEDED]


async def test_jobs_when_many_are_queued_all_succeed_once(shop: Workshop) -> None:
    jobs = [await shop.queue(prompt=f"cat {number}") for number in range(40)]
    async with working(shop.worker(slots=7)):
        for job in jobs:
            await shop.until(job, JobStatus.SUCCEEDED)
    assert [shop.calls(job)["start"] for job in jobs] == [1] * 40


async def test_job_when_it_fails_in_passing_is_tried_again_after_a_while(shop: Workshop) -> None:
    job = await shop.queue(params={"errors": ["provider_failed", "provider_failed"]})
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert done.attempts == 3
    outcomes = [attempt.outcome for attempt in await shop.attempts(job)]
    assert outcomes == [Outcome.FAILED, Outcome.FAILED, Outcome.SUCCEEDED]


async def test_job_when_it_fails_once_too_often_is_a_dead_letter(shop: Workshop) -> None:
    job = await shop.queue(params={"errors": ["provider_failed"] * 3})
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.attempts, (done.error or {})["code"]) == (3, "provider_failed")


async def test_job_when_it_is_refused_fails_at_once(shop: Workshop) -> None:
    job = await shop.queue(params={"errors": ["content_refused"]})
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.attempts, (done.error or {})["code"]) == (1, "content_refused")


async def test_job_when_rate_limited_waits_without_spending_an_attempt(shop: Workshop) -> None:
    limits = ["provider_rate_limited"] * 2
    job = await shop.queue(
        params={"errors": [*limits, "provider_failed"], "retry_after_s": 0}, max_attempts=2
    )
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert done.attempts == 2, "one failed, one succeeded; those refused do not count"
    assert shop.calls(job)["start"] == 4


async def test_job_when_the_provider_takes_long_parks_and_is_checked(shop: Workshop) -> None:
    job = await shop.queue(params={"pending": True, "seconds": 0.5})
    async with working(shop.worker(slots=1)):
        parked = await shop.until(job, JobStatus.WAITING)
        assert parked.leased_by is None
        other = await shop.queue(prompt="another")
        await shop.until(other, JobStatus.SUCCEEDED)
        assert (await shop.look(job)).status is JobStatus.WAITING, "the slot was free meanwhile"
        await shop.until(job, JobStatus.SUCCEEDED)
    assert shop.calls(job)["start"] == 1
    assert [attempt.outcome for attempt in await shop.attempts(job)] == [Outcome.SUCCEEDED]


async def test_job_when_its_model_s_provider_is_gone_fails_before_anything_is_sent(
    shop: Workshop,
) -> None:
    job = await shop.queue(provider="uninstalled")
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["code"] == "unknown_model"
    assert await shop.attempts(job) == []


async def test_job_when_an_input_was_deleted_fails_before_anything_is_sent(
    shop: Workshop,
) -> None:
    job = await shop.queue(inputs=["ast_gone"])
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["code"] == "not_found"
    assert await shop.attempts(job) == []
