"""Faults of providers, storage and reports: the job ends as it should, the others go on."""

import asyncio
import json
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from safelight import errors
from safelight.cpu import OutOfResources
from safelight.errors import ServiceError
from safelight.fetch.errors import FetchError
from safelight.jobs.job import AttemptState, JobStatus, Outcome
from safelight.media.errors import MediaTruncated
from safelight.providers.errors import (
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderWorkFailed,
)
from safelight.providers.provider import Failed, Pending
from safelight.storage.errors import StorageFailed
from tests.servers import wait_until_async
from tests.workshop import EVER, MOMENT, Workshop, until_closed, working


async def test_paid_result_when_storage_is_away_is_held_until_it_is_back(shop: Workshop) -> None:
    # As often as it is tried in five minutes of the real pace.
    shop.intake.failures += [StorageFailed(), errors.StorageFull()] * 30
    job = await shop.queue(params={"outputs": 1}, repeatable=False, model="fake-paid")
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.attempts, shop.calls(job)["start"]) == (1, 1)


@pytest.mark.parametrize("error", [OutOfResources(), MediaTruncated(), RuntimeError("bug")])
async def test_paid_result_when_it_cannot_be_kept_fails_and_is_not_bought_again(
    shop: Workshop, error: Exception
) -> None:
    shop.intake.failures += [error] * 3
    job = await shop.queue(params={"outputs": 1}, repeatable=False, model="fake-paid")
    async with working(shop.worker()):
        await shop.until(job, JobStatus.FAILED)
    assert shop.calls(job)["start"] == 1
    assert [(a.outcome, a.cost_micros) for a in await shop.attempts(job)] == [(Outcome.FAILED, 0)]


async def test_repeatable_result_when_storage_is_away_is_made_again(shop: Workshop) -> None:
    shop.intake.failures += [StorageFailed()]
    job = await shop.queue(params={"outputs": 1})
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    # That storage was away is no fault of the attempt, which is not counted.
    assert (done.attempts, shop.calls(job)["start"]) == (1, 2)


async def test_job_when_it_is_tried_again_logs_why(shop: Workshop) -> None:
    shop.intake.failures += [StorageFailed("The file store answered 501 NotImplemented.")]
    job = await shop.queue(params={"outputs": 1})
    with capture_logs() as logs:
        async with working(shop.worker()):
            await shop.until(job, JobStatus.SUCCEEDED)
    (why,) = [line for line in logs if line["event"] == "job goes on later"]
    assert (why["status"], why["code"]) == ("queued", "storage_failed")
    assert why["reason"] == "The file store answered 501 NotImplemented."
    assert why["due_at"]


@pytest.mark.parametrize("error", [OSError("broken"), ServiceError(), FetchError()])
async def test_paid_start_when_it_breaks_other_than_by_the_provider_s_word_is_not_repeated(
    shop: Workshop, error: Exception
) -> None:
    shop.provider.start_error = error
    job = await shop.queue(repeatable=False, model="fake-paid")
    async with working(shop.worker()):
        await shop.until(job, JobStatus.FAILED)
    assert shop.calls(job)["start"] == 1


async def test_paid_start_when_the_provider_says_it_failed_is_repeated(shop: Workshop) -> None:
    job = await shop.queue(params={"errors": ["provider_failed"]}, repeatable=False)
    async with working(shop.worker()):
        await shop.until(job, JobStatus.SUCCEEDED)
    assert shop.calls(job)["start"] == 2


@pytest.mark.parametrize(
    "error",
    [ProviderRateLimited(retry_after=MOMENT), ProviderError(), ServiceError()],
)
async def test_check_when_it_fails_in_passing_is_made_again_without_a_second_start(
    shop: Workshop, error: Exception
) -> None:
    shop.provider.check_error = error
    job = await shop.queue(params={"pending": True}, repeatable=False)
    async with working(shop.worker()):
        await wait_until_async(lambda: asyncio.sleep(0, shop.calls(job)["check"] >= 3))
        shop.provider.check_error = None
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.attempts, shop.calls(job)["start"]) == (1, 1)


async def test_paid_work_when_the_provider_gives_it_up_unpaid_is_begun_anew(shop: Workshop) -> None:
    shop.provider.verdict = Failed(ProviderWorkFailed("out of memory"))
    job = await shop.queue(params={"pending": True}, repeatable=False, model="fake-paid")
    async with working(shop.worker()):
        await wait_until_async(lambda: asyncio.sleep(0, shop.calls(job)["start"] == 2))
        shop.provider.verdict = None
        done = await shop.until(job, JobStatus.SUCCEEDED)
    found = await shop.attempts(job)
    assert [attempt.outcome for attempt in found] == [Outcome.FAILED, Outcome.SUCCEEDED]
    assert len({attempt.ticket for attempt in found}) == 2
    assert done.attempts == 2


async def test_check_when_the_provider_says_it_failed_for_good_ends_the_job(
    shop: Workshop,
) -> None:
    shop.provider.verdict = Failed(ProviderRejected("no"))
    job = await shop.queue(params={"pending": True})
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["detail"] == "no"
    assert [a.outcome for a in await shop.attempts(job)] == [Outcome.FAILED]


async def test_check_when_a_plug_breaks_says_nothing_of_the_work_until_the_job_s_time_is_up(
    shop: Workshop,
) -> None:
    shop.provider.check_error = ZeroDivisionError()
    job = await shop.queue(params={"pending": True}, timeout_s=3)
    async with working(shop.worker(), shop.janitor()):
        await wait_until_async(lambda: asyncio.sleep(0, shop.calls(job)["check"] >= 2))
        assert (await shop.look(job)).status in (JobStatus.RUNNING, JobStatus.WAITING)
        done = await shop.until(job, JobStatus.FAILED)
        await until_closed(shop, job, Outcome.CANCELED)
    assert (done.error or {})["code"] == "timed_out"
    assert (shop.calls(job)["start"], shop.calls(job)["cancel"]) == (1, 1)


async def test_provider_when_it_raises_what_it_should_not_fails_its_job_alone(
    shop: Workshop,
) -> None:
    shop.provider.start_error = ZeroDivisionError("secret of the inside")
    job = await shop.queue()
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
        shop.provider.start_error = None
        await shop.until(await shop.queue(), JobStatus.SUCCEEDED)
    assert (done.error or {})["code"] == "internal"
    assert "secret" not in json.dumps(done.error)


async def test_error_when_its_words_cannot_be_stored_still_fails_the_job(shop: Workshop) -> None:
    shop.provider.start_error = ProviderRejected("a\x00b \ud83d")
    job = await shop.queue()
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["detail"] == "a\ufffdb ?"


@pytest.mark.parametrize("progress", [float("nan"), float("inf"), -5.0, 1e9])
async def test_progress_when_it_is_nonsense_is_put_right(shop: Workshop, progress: float) -> None:
    shop.provider.progress = progress
    stage = "long \x00 " * 100
    shop.provider.pending = Pending("0-ticket", timedelta(seconds=0.2), stage, progress)
    job = await shop.queue()
    async with working(shop.worker()):
        parked = await shop.until(job, JobStatus.WAITING)
        await shop.until(job, JobStatus.SUCCEEDED)
    assert 0 <= parked.progress <= 100
    assert len(parked.stage or "") == 200


async def test_progress_when_it_cannot_be_written_does_not_disturb_the_job(
    shop: Workshop,
) -> None:
    shop.database.away["progress_all"] = EVER
    job = await shop.queue(params={"seconds": 0.2})
    async with working(shop.worker()):
        await shop.until(job, JobStatus.SUCCEEDED)
    assert shop.database.away["progress_all"] < EVER


async def test_progress_when_reported_reaches_the_row(shop: Workshop) -> None:
    shop.provider.start_gate.clear()
    shop.provider.progress = 42.0
    job = await shop.queue()
    async with working(shop.worker()):

        async def told() -> bool:
            return (await shop.look(job)).progress == 42.0

        await wait_until_async(told)
        assert (await shop.look(job)).stage == "a? stage"
        shop.provider.start_gate.set()
        await shop.until(job, JobStatus.SUCCEEDED)


async def test_ticket_when_the_database_is_away_is_stored_once_it_is_back(shop: Workshop) -> None:
    shop.database.away["keep_tickets"] = 1
    job = await shop.queue(params={"pending": True}, repeatable=False, model="fake-paid")
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.attempts, shop.calls(job)["start"]) == (1, 1)


async def test_ticket_when_the_worker_stops_the_moment_it_comes_is_stored(
    shop: Workshop,
) -> None:
    """The stop cancels the run while the ticket is being written."""
    shop.database.away["keep_tickets"] = 1  # so that writing it takes a second
    job = await shop.queue(params={"pending": True, "seconds": 60}, repeatable=False)
    async with working(shop.worker()):
        await wait_until_async(lambda: asyncio.sleep(0, shop.database.away["keep_tickets"] == 0))
    assert (await shop.attempts(job))[-1].state is AttemptState.TICKETED
    assert (await shop.look(job)).status is JobStatus.WAITING


async def test_start_when_it_ended_the_work_is_checked_in_the_same_run(shop: Workshop) -> None:
    shop.provider.pending = Pending("0-ticket", timedelta(), news=b"the end")
    job = await shop.queue()
    async with working(shop.worker()):
        await shop.until(job, JobStatus.SUCCEEDED)
    # The news of a start live as long as its run.
    assert (shop.calls(job)["start"], shop.calls(job)["check"]) == (1, 0)


async def test_start_when_it_ended_the_work_and_the_check_fails_is_looked_at_again(
    shop: Workshop,
) -> None:
    shop.provider.pending = Pending("0-ticket", timedelta())
    shop.provider.check_error = ProviderError("The result is not there yet.")
    job = await shop.queue(repeatable=False, model="fake-paid")
    async with working(shop.worker()):

        async def looked() -> bool:
            return shop.calls(job)["check"] >= 2

        await wait_until_async(looked, 20)
        shop.provider.check_error = None
        await shop.until(job, JobStatus.SUCCEEDED)
    assert shop.calls(job)["start"] == 1
