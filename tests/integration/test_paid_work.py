"""Paid work ends by a fact about it alone: errors, clocks and leases of ours end none."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from safelight import errors
from safelight.assets.lifecycle.trash import Trash
from safelight.doorbell import doorbell
from safelight.errors import SafelightError
from safelight.fetch.errors import FetchRefused
from safelight.jobs.bodies import Generate
from safelight.jobs.errors import JobTimeout
from safelight.jobs.job import MAX_CRASHES, AttemptState, Ground, Job, JobStatus, Outcome
from safelight.jobs.ledger import attempts, moves
from safelight.jobs.scheduling import claims
from safelight.jobs.service import Jobs
from safelight.jobs.submit import Submitter
from safelight.media.errors import MediaTruncated
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderOutOfCredit,
    ProviderRefused,
    ProviderRejected,
    ProviderUnauthorized,
    UnknownOutcome,
)
from safelight.providers.local.fake import FakeProvider
from safelight.providers.provider import ABSENT, Canceled, Done, Failed, MediaFile, Model
from safelight.providers.registry import Registry
from safelight.worker.attempt import results
from tests import factories
from tests.servers import wait_until_async
from tests.workshop import EVER, FlakyDatabase, OddProvider, Workshop, kill, until_closed, working

SECOND = timedelta(seconds=1)
LONG_AFTER = timedelta(minutes=15)
PENDING = {"pending": True, "seconds": 60}
PAID: dict[str, Any] = {"repeatable": False, "model": "fake-paid"}
COST = 40_000


class Second(OddProvider):
    name = "second"

    def capabilities(self) -> tuple[Model, ...]:
        first, paid = FakeProvider().capabilities()
        return (
            replace(first, id="second", provider="second"),
            replace(paid, id="second-paid", provider="second"),
        )


@pytest.fixture
def second(shop: Workshop, tmp_path: Path) -> Second:
    """Another provider, which the alias `best` falls back to."""
    made = Second(tmp_path / "second.jsonl")
    shop.registry = Registry([shop.provider, made], {"best": ["fake-paid", "second-paid"]})
    shop.runner = replace(shop.runner, registry=shop.registry)
    return made


def settle_with(shop: Workshop, **changes: Any) -> None:
    settlement = replace(shop.runner.settlement, **changes)
    shop.runner = replace(shop.runner, settlement=settlement)


async def submit(shop: Workshop, **params: Any) -> Job:
    submits = Submitter(shop.database, shop.registry, max_attempts=2)
    wanted = Generate(prompt="a cat", model="best", params={"outputs": 0, **params})
    made = await submits.generate(shop.account, wanted)
    assert made.job is not None
    return made.job


async def until_asked(shop: Workshop, job: Job, what: str, times: int = 1) -> None:
    async def asked() -> bool:
        return shop.calls(job)[what] >= times

    await wait_until_async(asked, 20)


async def until_parked(shop: Workshop, job: Job) -> None:
    """Wait until a worker has looked at the work, or begun it, since the last crash."""

    async def parked() -> bool:
        found = await shop.look(job)
        return found.status is JobStatus.WAITING and found.crashes == 0

    await factories.make_due(shop.database, job)
    await wait_until_async(parked)


async def cancel(shop: Workshop, job: Job) -> None:
    await shop.database.write(lambda tx: moves.cancel(tx, job.id))
    shop.bell.ring(doorbell.HALT)


# --- refused looks -----------------------------------------------------------------------------

REFUSALS = [
    ProviderUnauthorized(),
    ProviderOutOfCredit(),
    ProviderRejected("404 from a proxy"),
    ProviderBadInput(),
    FetchRefused(),
    MediaTruncated(),
    errors.StorageFull(),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: error.code)
async def test_look_when_it_is_refused_ends_nothing_and_pays_no_fallback(
    shop: Workshop, second: Second, error: Exception
) -> None:
    shop.provider.check_error = error
    job = await submit(shop, pending=True, seconds=0.1)
    async with working(shop.worker(), shop.janitor()):
        await until_asked(shop, job, "check", 3)
        waiting = await shop.look(job)
        assert waiting.status in (JobStatus.WAITING, JobStatus.RUNNING)
        assert "asking the provider again" in (waiting.stage or "")
        shop.provider.check_error = None
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.provider, second.urls) == ("fake", {})
    assert (shop.calls(job)["start"], shop.calls(job)["cancel"]) == (1, 0)


async def test_look_when_it_is_refused_for_longer_than_the_patience_waits_for_a_person(
    shop: Workshop,
) -> None:
    settle_with(shop, patience=SECOND)
    shop.provider.check_error = ProviderUnauthorized()
    job = await shop.queue(params={"pending": True}, timeout_s=0.5, **PAID)
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert done.error is not None
    assert done.error["code"] == "unknown_outcome"
    assert "repeatable" in done.error["detail"]
    (attempt,) = await shop.attempts(job)
    assert attempt.state is AttemptState.TICKETED


async def test_provider_when_it_is_uninstalled_fails_its_jobs_at_once_and_closes_nothing(
    shop: Workshop,
) -> None:
    job = await shop.queue(params={"pending": True}, **PAID)
    shop.provider.check_gate.clear()
    async with working(shop.worker()):
        await until_asked(shop, job, "check")
    shop.registry = Registry([])
    shop.runner = replace(shop.runner, registry=shop.registry)
    async with working(shop.worker(), shop.janitor()):
        done = await shop.until(job, JobStatus.FAILED)
    assert done.error is not None
    assert (done.error["code"], done.crashes) == ("unknown_model", 0)
    assert (await shop.attempts(job))[0].state is AttemptState.TICKETED


async def test_checks_when_one_provider_hangs_leave_room_for_others(
    shop: Workshop, second: Second
) -> None:
    shop.provider.check_gate.clear()
    waiting = [await shop.queue(params={"pending": True}, **PAID) for _ in range(6)]
    async with working(shop.worker(slots=2)):
        await until_asked(shop, waiting[0], "check")
        other = await shop.queue(model="second", provider="second")
        shop.bell.ring(doorbell.lane("remote"))
        await shop.until(other, JobStatus.SUCCEEDED)
        shop.provider.check_gate.set()
        for job in waiting:
            await shop.until(job, JobStatus.SUCCEEDED)


# --- lost answers ------------------------------------------------------------------------------


async def test_lost_start_when_the_provider_never_had_it_is_begun_again_and_costs_no_try(
    shop: Workshop,
) -> None:
    shop.provider.adopts_within = LONG_AFTER
    shop.provider.start_error = UnknownOutcome()
    job = await shop.queue(**PAID)
    async with working(shop.worker()):
        await shop.until(job, JobStatus.WAITING)
        (attempt,) = await shop.attempts(job)
        shop.provider.start_error = None
        shop.provider.known[attempt.id] = ABSENT
        done = await shop.until(job, JobStatus.SUCCEEDED)
    first, last = await shop.attempts(job)
    assert (first.ground, first.outcome, first.cost_micros) == (Ground.ABSENT, Outcome.LOST, 0)
    assert (last.ground, done.attempts) == (Ground.VERDICT, 1)


async def test_lost_start_when_the_found_ticket_is_of_another_attempt_adopts_nothing(
    shop: Workshop,
) -> None:
    shop.provider.adopts_within = LONG_AFTER
    first = await shop.queue(params=PENDING, **PAID)
    async with working(shop.worker()):
        await shop.until(first, JobStatus.WAITING)
        shop.provider.start_error = UnknownOutcome()
        lost = await shop.queue(**PAID)
        await shop.until(lost, JobStatus.WAITING)
        ticket = (await shop.attempts(first))[0].ticket
        (attempt,) = await shop.attempts(lost)
        assert ticket is not None
        shop.provider.known[attempt.id] = ticket
        shop.bell.ring(doorbell.lane("remote"))

        async def asked_since() -> bool:
            return (await shop.look(lost)).fence != found.fence

        found = await shop.look(lost)
        await wait_until_async(asked_since)
        await shop.until(lost, JobStatus.WAITING)
    assert (await shop.attempts(lost))[0].state is AttemptState.UNKNOWN


async def test_result_when_its_worker_lost_the_lease_is_taken_by_its_attempt(
    shop: Workshop,
) -> None:
    shop.provider.adopts_within = LONG_AFTER
    shop.provider.start_gate.clear()
    shop.database.away["renew"] = EVER
    job = await shop.queue(params={"outputs": 1}, **PAID)
    async with working(shop.worker(lease=SECOND), shop.janitor()):
        await shop.until(job, JobStatus.WAITING)
        assert shop.provider.let_go == []
        shop.provider.start_gate.set()
        done = await shop.until(job, JobStatus.SUCCEEDED, deadline_s=60)
    assert (shop.calls(job)["start"], done.attempts) == (1, 1)


async def test_refusal_when_its_worker_lost_the_lease_frees_the_job(shop: Workshop) -> None:
    shop.provider.adopts_within = LONG_AFTER
    shop.provider.start_gate.clear()
    shop.provider.start_error = ProviderError("503, nothing was begun")
    shop.database.away["renew"] = EVER
    job = await shop.queue(**PAID)
    async with working(shop.worker(lease=SECOND), shop.janitor()):
        await shop.until(job, JobStatus.WAITING)
        shop.provider.start_gate.set()
        await until_closed(shop, job, Outcome.FAILED)
        shop.provider.start_error = None
        await shop.until(job, JobStatus.SUCCEEDED, deadline_s=30)
    first = (await shop.attempts(job))[0]
    assert first.ground is Ground.REFUSED


async def verdict_without_a_lease(shop: Workshop) -> tuple[Job, Job]:
    """Have a start end whose worker is cut off, while another looks after the job; and then wait.

    Return the job as it was then, and as it is after another worker had time to begin it anew.
    """
    shop.provider.adopts_within = LONG_AFTER
    shop.provider.start_gate.clear()
    cut_off = replace(shop, database=FlakyDatabase(shop.database.behind))
    job = await shop.queue(params={"outputs": 1, "cost_micros": COST}, **PAID)
    async with working(cut_off.worker()):
        await shop.until_sent(job)
        cut_off.database.away |= {"_claim": EVER, "_renew": EVER}
        await shop.database.write(claims.end_all_leases)
        await shop.janitor().round()
        shop.provider.start_gate.set()
        await until_closed(shop, job, Outcome.FAILED)
    told = await shop.look(job)
    async with working(shop.worker()):
        await factories.make_due(shop.database, job)
        await asyncio.sleep(0.5)  # in which it would be begun once more
    return told, await shop.look(job)


async def test_verdict_when_its_worker_lost_the_lease_ends_the_job(shop: Workshop) -> None:
    shop.provider.verdict_at_once = Failed(ProviderRefused(), COST)
    told, later = await verdict_without_a_lease(shop)
    assert (told.status, later.seq) == (JobStatus.FAILED, told.seq)
    assert (told.error or {})["code"] == ProviderRefused.code
    assert (shop.calls(told)["start"], told.cost_micros) == (1, COST)


async def test_unfit_result_when_its_worker_lost_the_lease_is_not_paid_for_again(
    shop: Workshop,
) -> None:
    shop.intake.failures.append(MediaTruncated())
    told, later = await verdict_without_a_lease(shop)
    assert (told.status, later.seq) == (JobStatus.FAILED, told.seq)
    assert (told.error or {})["code"] == MediaTruncated.code
    assert (shop.calls(told)["start"], told.cost_micros) == (1, COST)


async def test_attempt_when_the_worker_stops_within_its_commit_is_sent_all_the_same(
    shop: Workshop,
) -> None:
    shop.database.slow["send_all"] = asyncio.Event()
    job = await shop.queue(**PAID)
    worker = shop.worker()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run())
        await shop.database.entered.wait()
        worker.stop()
        shop.database.slow.pop("send_all").set()
        await running
    assert (await shop.look(job)).status is JobStatus.SUCCEEDED
    assert shop.calls(job)["start"] == 1


# --- cancel ------------------------------------------------------------------------------------


async def test_cancel_when_a_paid_start_is_under_way_waits_for_its_ticket_and_cancels_it(
    shop: Workshop,
) -> None:
    shop.provider.start_gate.clear()
    job = await shop.queue(params=PENDING, **PAID)
    async with working(shop.worker(), shop.janitor()):
        await shop.until_sent(job)
        await cancel(shop, job)
        assert (await shop.attempts(job))[0].state is AttemptState.SENT
        shop.provider.start_gate.set()
        attempt = await until_closed(shop, job, Outcome.CANCELED)
    assert (attempt.ground, shop.provider.let_go) == (Ground.CANCELED, [])
    assert shop.calls(job)["cancel"] >= 1


async def test_cancel_when_the_provider_only_accepts_it_is_asked_for_again(shop: Workshop) -> None:
    job = await shop.queue(params=PENDING | {"slow_cancel": True}, **PAID)
    async with working(shop.worker(), shop.janitor()):
        await shop.until(job, JobStatus.WAITING)
        await cancel(shop, job)
        await until_closed(shop, job, Outcome.CANCELED)
    assert shop.calls(job)["cancel"] == 2


async def test_cancel_when_the_ticket_comes_between_look_and_close_leaves_it_open(
    shop: Workshop,
) -> None:
    job = await shop.queue(params=PENDING, **PAID)
    async with working(shop.worker()):
        await shop.until(job, JobStatus.WAITING)
    (attempt,) = await shop.attempts(job)

    async def cancel_another(ticket: str) -> Canceled:
        newer = f"{ticket}-newer"
        await shop.database.write(lambda tx: factories.keep_ticket(tx, attempt.id, newer))
        return Canceled()

    shop.provider.cancel = cancel_another
    await cancel(shop, job)
    janitor = shop.janitor()
    await janitor.round()
    (attempt,) = await shop.attempts(job)
    assert (attempt.state, attempt.cancels) == (AttemptState.TICKETED, 0)


async def test_cancel_when_the_start_is_on_its_way_does_not_believe_that_it_never_was(
    shop: Workshop,
) -> None:
    shop.provider.adopts_within = LONG_AFTER
    shop.provider.start_gate.clear()
    job = await shop.queue(params=PENDING, **PAID)
    async with working(shop.worker()):
        await shop.until_sent(job)
        await cancel(shop, job)
        (attempt,) = await shop.attempts(job)
        shop.provider.known[attempt.id] = ABSENT
        await shop.janitor(lease=LONG_AFTER).round()
        assert (await shop.attempts(job))[0].is_open

        async def believed() -> bool:
            await shop.janitor().round()  # its lease is over
            return (await shop.attempts(job))[0].ground is Ground.ABSENT

        await wait_until_async(believed)
        shop.provider.cancel_error = ProviderUnauthorized()
        shop.provider.start_gate.set()
        await until_asked(shop, job, "cancel", 2)
        shop.provider.cancel_error = None
        await until_asked(shop, job, "cancel", 3)


async def test_cancel_when_its_worker_dies_in_a_call_that_nobody_can_look_up_is_called_unknown(
    shop: Workshop,
) -> None:
    shop.provider.start_gate.clear()
    job = await shop.queue(**PAID)
    running = asyncio.create_task(shop.worker().run())  # noqa: TID251  ended by kill
    await shop.until_sent(job)
    await cancel(shop, job)
    await kill(shop, running)
    await shop.janitor().round()
    assert (await shop.attempts(job))[0].state is AttemptState.UNKNOWN


@pytest.mark.parametrize("stop", ["timeout", "cancel", "crash"])
async def test_callback_when_its_job_is_final_leads_to_a_cancel(shop: Workshop, stop: str) -> None:
    shop.provider.adopts_within = LONG_AFTER
    shop.provider.start_gate.clear()
    job = await shop.queue(params=PENDING, timeout_s=0.6 if stop == "timeout" else 600, **PAID)
    running = asyncio.create_task(shop.worker().run())  # noqa: TID251  ended by kill
    await shop.until_sent(job)
    if stop == "timeout":
        await shop.until(job, JobStatus.FAILED)
    await kill(shop, running)
    if stop == "cancel":
        await cancel(shop, job)
    async with working(shop.worker(), shop.janitor()):
        if stop == "crash":
            await shop.until(job, JobStatus.WAITING)
            await cancel(shop, job)
        await shop.report(job, ticket="vendor-1")
        attempt = await until_closed(shop, job, Outcome.CANCELED)
    assert (attempt.ticket, attempt.ground) == ("vendor-1", Ground.CANCELED)
    assert shop.calls(job)["cancel"] >= 1


@pytest.mark.parametrize("how", ["redrive", "delete"])
async def test_ended_job_when_its_vendor_refuses_to_cancel_is_a_person_s_to_redrive_or_delete(
    shop: Workshop, trash: Trash, how: str
) -> None:
    jobs = Jobs(shop.database, shop.assets, trash, slots={"remote": 8})
    shop.provider.cancel_error = ProviderUnauthorized("the key was withdrawn for good")
    job = await shop.queue(params=PENDING, **PAID)
    async with working(shop.worker(), shop.janitor()):
        await shop.until(job, JobStatus.WAITING)
        await cancel(shop, job)
        await until_asked(shop, job, "cancel", 3)
    if how == "delete":
        await jobs.delete(shop.account, job.id, actor="key_x")
        return
    assert (await jobs.redrive(shop.account, job.id)).status is JobStatus.QUEUED
    (attempt,) = await shop.attempts(job)
    assert (attempt.ground, attempt.cost_micros) == (Ground.PERSON, None)


# --- crashes -----------------------------------------------------------------------------------


async def test_crashes_when_a_check_went_well_between_them_are_counted_anew(
    shop: Workshop,
) -> None:
    job = await shop.queue(params=PENDING, **PAID)
    for _ in range(2):
        async with working(shop.worker()):
            await until_parked(shop, job)
        running = asyncio.create_task(shop.worker().run())  # noqa: TID251  ended by kill
        shop.provider.check_gate.clear()
        seen = shop.calls(job)["check"]
        await factories.make_due(shop.database, job)
        await until_asked(shop, job, "check", seen + 1)
        await kill(shop, running)
        shop.provider.check_gate.set()
        await shop.janitor().round()
        assert (await shop.look(job)).crashes == 1


async def test_job_when_its_provider_works_on_it_is_never_buried(shop: Workshop) -> None:
    job = await shop.queue(params=PENDING, **PAID)
    async with working(shop.worker()):
        await shop.until(job, JobStatus.WAITING)
    for _ in range(MAX_CRASHES + 1):
        await factories.make_due(shop.database, job)
        await factories.claim(shop.database)
        await shop.database.write(claims.end_all_leases)
        await shop.janitor().round()
    found = await shop.look(job)
    assert (found.status, found.crashes) == (JobStatus.WAITING, MAX_CRASHES + 1)
    assert shop.calls(job)["cancel"] == 0


# --- results in hand ---------------------------------------------------------------------------


async def test_result_when_its_process_dies_before_it_is_kept_is_found_on_disk(
    shop: Workshop,
) -> None:
    waiting = asyncio.Event()

    async def hang() -> None:
        waiting.set()
        await asyncio.Event().wait()

    shop.intake.overtake = hang
    job = await shop.queue(params={"outputs": 2}, **PAID)
    running = asyncio.create_task(shop.worker().run())  # noqa: TID251  ended by kill
    await waiting.wait()
    assert len(results.attempts(shop.runner.results)) == 1
    await kill(shop, running)
    shop.intake.overtake = None
    async with working(shop.worker(), shop.janitor()):
        await shop.until(job, JobStatus.SUCCEEDED)
        # Its files go after the commit that a reader sees.
        await wait_until_async(lambda: asyncio.to_thread(_is_empty, shop.runner.results))
    assert shop.calls(job)["start"] == 1


def _is_empty(folder: Path) -> bool:
    return results.attempts(folder) == []


async def killed_with_a_result_on_disk(shop: Workshop, **changes: Any) -> Job:
    """Return a job whose process died between receiving a paid result and storing it."""
    hanging = asyncio.Event()

    async def hang() -> None:
        hanging.set()
        await asyncio.Event().wait()

    shop.intake.overtake = hang
    job = await shop.queue(params={"outputs": 1, "cost_micros": COST}, **PAID, **changes)
    running = asyncio.create_task(shop.worker().run())  # noqa: TID251  ended by kill
    await hanging.wait()
    await kill(shop, running)
    shop.intake.overtake = None
    return job


async def test_result_on_disk_when_its_job_is_canceled_is_dropped_and_its_cost_written(
    shop: Workshop,
) -> None:
    job = await killed_with_a_result_on_disk(shop)
    await shop.database.write(lambda tx: moves.cancel(tx, job.id))
    await shop.runner.keeper.deliver()
    (attempt,) = await shop.attempts(job)
    assert (attempt.ground, attempt.outcome) == (Ground.VERDICT, Outcome.CANCELED)
    assert (await shop.look(job)).cost_micros == COST
    assert results.attempts(shop.runner.results) == []


@pytest.mark.parametrize("error", [UnknownOutcome(), JobTimeout()], ids=lambda error: error.code)
async def test_result_on_disk_when_another_machine_failed_its_job_is_delivered_if_it_was_unknown(
    shop: Workshop, error: SafelightError
) -> None:
    job = await killed_with_a_result_on_disk(shop)
    claim = factories.claim_of(await shop.look(job))

    def give_up(tx: Connection) -> None:
        (attempt,) = attempts.of_job(tx, job.id)
        attempts.lose_sight(tx, attempt.id)
        moves.fail(tx, claim, error=error.problem())

    await shop.database.write(give_up)
    await shop.runner.keeper.deliver()
    found = await shop.look(job)
    (attempt,) = await shop.attempts(job)
    assert results.attempts(shop.runner.results) == []
    assert (shop.calls(job)["start"], found.cost_micros) == (1, COST)
    if isinstance(error, UnknownOutcome):
        assert (found.status, found.error) == (JobStatus.SUCCEEDED, None)
        assert attempt.outcome is Outcome.SUCCEEDED
    else:
        assert (found.status, found.error) == (JobStatus.FAILED, error.problem())
        assert (attempt.ground, attempt.outcome) == (Ground.VERDICT, Outcome.CANCELED)


async def test_result_when_the_disk_is_full_is_stored_all_the_same(shop: Workshop) -> None:
    shop.runner.results.write_bytes(b"")  # no folder: nothing can be kept in it
    job = await shop.queue(params={"outputs": 2, "cost_micros": COST}, **PAID)
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (shop.calls(job)["start"], done.cost_micros) == (1, COST)


async def test_results_on_disk_when_one_is_damaged_are_delivered_but_for_that(
    shop: Workshop,
) -> None:
    job = await killed_with_a_result_on_disk(shop)
    damaged = shop.runner.results / "att_0" / "result.json"
    damaged.parent.mkdir()
    damaged.write_bytes(b"{")
    await shop.runner.keeper.deliver()
    assert (await shop.look(job)).status is JobStatus.SUCCEEDED
    assert damaged.exists()


# --- costs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rung", [True, False])
@pytest.mark.parametrize("pending", [True, False])
async def test_cost_when_the_job_is_canceled_with_its_result_in_hand_is_written(
    shop: Workshop, *, rung: bool, pending: bool
) -> None:
    job = await shop.queue(
        params={"outputs": 1, "cost_micros": COST, "pending": pending, "seconds": 0}, **PAID
    )

    async def overtake() -> None:
        await shop.database.write(lambda tx: moves.cancel(tx, job.id))
        if rung:
            shop.bell.ring(doorbell.HALT)
            await asyncio.sleep(0.2)  # keeping goes on for a while

    shop.intake.overtake = overtake
    async with working(shop.worker(), shop.janitor()):
        await shop.until_sent(job)
        await until_closed(shop, job, Outcome.CANCELED)
    assert (await shop.look(job)).cost_micros == COST


async def test_cost_when_the_job_failed_is_the_sum_of_its_attempts(shop: Workshop) -> None:
    shop.intake.failures += [MediaTruncated()]
    job = await shop.queue(params={"outputs": 1, "cost_micros": COST}, **PAID)
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.cost_micros, done.cost_known_micros) == (COST, COST)


async def test_cost_when_one_attempt_s_is_unknown_is_unknown_with_the_known_part_beside_it(
    shop: Workshop, trash: Trash
) -> None:
    jobs = Jobs(shop.database, shop.assets, trash, slots={"remote": 8})
    shop.provider.start_error = UnknownOutcome()
    job = await shop.queue(params={"outputs": 1, "cost_micros": COST}, **PAID)
    async with working(shop.worker()):
        failed = await shop.until(job, JobStatus.FAILED)
        assert (failed.cost_micros, failed.cost_known_micros) == (None, 0)
        shop.provider.start_error = None
        await jobs.redrive(shop.account, job.id)
        shop.bell.ring(doorbell.lane("remote"))
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.cost_micros, done.cost_known_micros) == (None, COST)


async def test_cost_when_the_job_was_never_sent_is_nothing(shop: Workshop) -> None:
    job = await shop.queue(**PAID)
    ended = await shop.database.write(lambda tx: moves.cancel(tx, job.id))
    assert (ended.cost_micros, ended.cost_known_micros) == (0, 0)


# --- sleep -------------------------------------------------------------------------------------


async def test_janitor_when_its_process_slept_lets_its_worker_renew_first(shop: Workshop) -> None:
    shop.provider.start_gate.clear()
    job = await shop.queue(**PAID)
    janitor = shop.janitor(lease=SECOND)
    async with working(shop.worker(lease=SECOND)):
        await shop.until_sent(job)
        await janitor.round()
        shop.database.away["renew"] = 4  # longer than the lease, as for a process that stood still
        await wait_until_async(lambda: asyncio.sleep(0, shop.database.away["renew"] == 0))
        await janitor.round()
        assert (await shop.look(job)).crashes == 0
        shop.provider.start_gate.set()
        await shop.until(job, JobStatus.SUCCEEDED)


def test_media_files_of_results_are_read_back_as_they_were(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "a.png").write_bytes(b"a")
    (scratch / "b.png").write_bytes(b"b")
    files = (
        MediaFile(scratch / "a.png", "image/png", {"seed": 1}, scratch / "b.png", "a", "http://a"),
    )
    kept = results.keep(tmp_path / "results", "att_1", scratch, Done(files, 5, {"x": 1}))
    assert results.read(tmp_path / "results", "att_1") == kept
    assert kept.outputs[0].path.read_bytes() == b"a"
    results.drop(tmp_path / "results", "att_1")
    assert results.read(tmp_path / "results", "att_1") is None
    assert results.attempts(tmp_path / "results") == []
