"""A worker, its runner and the janitor at work with the fake provider, on both databases."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from safelight import errors
from safelight.assets import store as asset_store
from safelight.assets.inspect import InspectRules
from safelight.assets.service import Assets, Origin
from safelight.cpu import CpuPool
from safelight.db import tables
from safelight.db.engine import Database, Work
from safelight.doorbell import doorbell
from safelight.doorbell.memory import MemoryDoorbell
from safelight.errors import ServiceError
from safelight.fetch import Fetcher, FetchPolicy
from safelight.jobs import attempts, claims, store
from safelight.jobs.job import Attempt, AttemptState, Job, JobStatus, Outcome
from safelight.jobs.retry import RetryPolicy
from safelight.providers.fake import FakeProvider
from safelight.providers.provider import (
    AttemptHandle,
    Done,
    Lane,
    MediaFile,
    Pending,
    ProviderRequest,
)
from safelight.providers.registry import Registry
from safelight.storage.storage import open_disk
from safelight.worker.janitor import Janitor
from safelight.worker.run import Runner
from safelight.worker.worker import Worker, WorkerRules
from tests import factories
from tests.factories import reread
from tests.servers import wait_until_async

T = TypeVar("T")

MOMENT = timedelta(milliseconds=50)
SOON = timedelta(milliseconds=200)
LONG = timedelta(seconds=30)
EVER = 10**6
_NUMBERS = count(1)


class OddProvider(FakeProvider):
    """The fake provider, which a test can hold up, break, or make say odd things."""

    def __init__(self, ledger: Path) -> None:
        super().__init__(ledger)
        self.start_gate = opened()
        self.check_gate = opened()
        self.start_error: Exception | None = None
        self.check_error: Exception | None = None
        self.cancel_error: Exception | None = None
        self.pending: Pending | None = None
        self.progress = 10.0
        self.let_go: list[str] = []

    async def start(self, request: ProviderRequest, attempt: AttemptHandle) -> Done | Pending:
        try:
            found = await super().start(request, attempt)
            attempt.report(self.progress, "a\x00\ud800 stage")
            await self.start_gate.wait()
        except asyncio.CancelledError:
            self.let_go.append(request.prompt)
            raise
        if self.start_error is not None:
            raise self.start_error
        return self.pending or found

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Pending:
        found = await super().check(ticket, request, attempt)
        await self.check_gate.wait()
        if self.check_error is not None:
            raise self.check_error
        return found

    async def cancel(self, ticket: str) -> None:
        await super().cancel(ticket)
        if self.cancel_error is not None:
            raise self.cancel_error


def opened() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


class OddAssets(Assets):
    """Assets whose storage fails as often as a test says, or which a test overtakes."""

    failures: list[Exception]
    overtake: Callable[[], Awaitable[object]] | None = None

    async def keep_media(self, media: MediaFile, origin: Origin, position: int) -> dict[str, Any]:
        if self.failures:
            raise self.failures.pop(0)
        row = await super().keep_media(media, origin, position)
        if self.overtake is not None:
            await self.overtake()
        return row


@dataclass
class FlakyDatabase:
    """A database that is away for as many calls of the named work as a test says."""

    behind: Database
    away: Counter[str] = field(default_factory=Counter[str])
    url: str = ""

    async def write(self, work: Work[T]) -> T:
        self._look(work)
        return await self.behind.write(work)

    async def read(self, work: Work[T]) -> T:
        self._look(work)
        return await self.behind.read(work)

    async def close(self) -> None:
        await self.behind.close()

    def _look(self, work: Any) -> None:
        for name, times in self.away.items():
            if times and name in work.__qualname__:
                self.away[name] -= 1
                raise OperationalError("away", {}, Exception("away"))


@dataclass
class Workshop:
    """All the parts of one process, put together as app.py does."""

    database: FlakyDatabase
    bell: MemoryDoorbell
    provider: OddProvider
    registry: Registry
    runner: Runner
    assets: OddAssets
    account: str
    ledger_file: Path

    def worker(
        self,
        *,
        slots: int = 8,
        lease: timedelta = LONG,
        grace: timedelta = timedelta(),
        look_every: timedelta = SOON,
    ) -> Worker:
        rules = WorkerRules({Lane.REMOTE: slots}, lease, look_every, grace)
        return Worker(self.database, self.bell, self.runner, rules)

    def janitor(self, *, lease: timedelta = timedelta(), interval: timedelta = MOMENT) -> Janitor:
        return Janitor(
            self.database,
            self.bell,
            self.registry,
            interval=interval,
            lease=lease,
            sole_worker=True,
        )

    async def queue(self, *, params: dict[str, Any] | None = None, **changes: Any) -> Job:
        defaults = {"seconds": 0, "pending": False, "outputs": 0, "errors": []}
        changes.setdefault("prompt", f"job {next(_NUMBERS)}")
        return await factories.queue(
            self.database.behind, self.account, params=defaults | (params or {}), **changes
        )

    async def look(self, job: Job) -> Job:
        return await self.database.behind.read(lambda tx: reread(tx, job))

    async def until(self, job: Job, *statuses: JobStatus, deadline_s: float = 10) -> Job:
        async def there() -> Job | None:
            now = await self.look(job)
            return now if now.status in statuses else None

        found = await wait_until_async(there, deadline_s)
        assert found is not None
        return found

    async def attempts(self, job: Job) -> list[Attempt]:
        return await self.database.behind.read(lambda tx: attempts.of_job(tx, job.id))

    async def until_sent(self, job: Job) -> None:
        async def sent() -> bool:
            return bool(self.calls(job)["start"])

        await wait_until_async(sent)

    def calls(self, job: Job) -> Counter[str]:
        """Return how often the provider was called for the job, from its own ledger."""
        if not self.ledger_file.exists():
            return Counter()
        lines = [json.loads(line) for line in self.ledger_file.read_text().splitlines()]
        return Counter(line["what"] for line in lines if line["prompt"] in (job.prompt, ""))


@pytest.fixture
async def shop(
    database: Database, pool: CpuPool, account: str, ledger_file: Path, tmp_path: Path
) -> AsyncIterator[Workshop]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    provider = OddProvider(ledger_file)
    registry = Registry([provider])
    flaky = FlakyDatabase(database)
    bell = MemoryDoorbell()
    policy = RetryPolicy(MOMENT, SOON)
    storage = open_disk(tmp_path / "objects")
    assets = OddAssets(flaky, storage, pool, InspectRules(max_pixels=10**6))
    assets.failures = []
    async with Fetcher(FetchPolicy()) as fetcher:
        runner = Runner(flaky, bell, registry, assets, fetcher, policy, scratch, look_again=MOMENT)
        yield Workshop(flaky, bell, provider, registry, runner, assets, account, ledger_file)
    assert list(scratch.iterdir()) == [], "every run removed its folder"


@asynccontextmanager
async def working(worker: Worker, *janitors: Janitor) -> AsyncIterator[None]:
    """Run a worker, and janitors beside it, until the block ends; then stop it."""
    async with asyncio.TaskGroup() as group:
        cleaning = [group.create_task(janitor.run()) for janitor in janitors]
        running = group.create_task(worker.run())
        try:
            yield
        finally:
            worker.stop()
            await running
            for task in cleaning:
                task.cancel()


# --- the ordinary ends -----------------------------------------------------------------------


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


# --- crashes ---------------------------------------------------------------------------------


async def kill(shop: Workshop, running: asyncio.Task[None]) -> None:
    """End a worker as `kill -9` would: it writes nothing more, and its leases run out."""
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await shop.database.write(claims.end_all_leases)


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
        (AttemptState.CLOSED, Outcome.FAILED)
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
    shop.database.away["_settle_success"] = 1
    async with working(shop.worker(lease=timedelta(seconds=0.5)), shop.janitor()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert done.crashes == 1
    assert shop.database.away["_settle_success"] == 0


# --- cancel, stop and time -------------------------------------------------------------------


@pytest.mark.parametrize("rung", [True, False])
async def test_job_when_canceled_while_running_stops_the_work_here(
    shop: Workshop, rung: bool
) -> None:
    lease = LONG if rung else timedelta(seconds=0.6)
    job = await shop.queue(params={"seconds": 60}, repeatable=False)
    async with working(shop.worker(lease=lease), shop.janitor()):
        await shop.until_sent(job)
        await shop.database.write(lambda tx: store.cancel(tx, job.id))
        if rung:
            shop.bell.ring(doorbell.HALT)
        await wait_until_async(lambda: asyncio.sleep(0, job.prompt in shop.provider.let_go), 2)
        await until_closed(shop, job, Outcome.CANCELED)
    assert (await shop.look(job)).status is JobStatus.CANCELED


async def until_closed(shop: Workshop, job: Job, outcome: Outcome) -> Attempt:
    async def closed() -> Attempt | None:
        last = (await shop.attempts(job))[-1]
        return last if last.state is AttemptState.CLOSED else None

    found = await wait_until_async(closed)
    assert found is not None
    assert found.outcome is outcome
    return found


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
    job = await shop.queue(params={"pending": True, "seconds": 60}, timeout_s=0.5)
    async with working(shop.worker(), shop.janitor()):
        done = await shop.until(job, JobStatus.FAILED)
        assert (done.error or {})["code"] == "timed_out"
        await until_closed(shop, job, Outcome.CANCELED)
    assert (shop.calls(job)["start"], shop.calls(job)["cancel"]) == (1, 1)


async def test_job_when_its_deadline_passes_unstarted_fails(shop: Workshop) -> None:
    job = await shop.queue()
    late = sa.update(tables.jobs).values(start_by=job.created_at + MOMENT)
    await shop.database.behind.write(lambda tx: tx.execute(late))
    shop.registry = Registry([])
    async with working(shop.worker(slots=0), shop.janitor()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["code"] == "deadline_passed"
    assert done.started_at is None


# --- what is left at providers ---------------------------------------------------------------


async def test_ticket_of_a_canceled_job_when_swept_is_canceled_at_the_provider(
    shop: Workshop,
) -> None:
    job = await shop.queue(params={"pending": True, "seconds": 60})
    async with working(shop.worker(), shop.janitor()):
        await shop.until(job, JobStatus.WAITING)
        await shop.database.write(lambda tx: store.cancel(tx, job.id))
        await until_closed(shop, job, Outcome.CANCELED)
    assert shop.calls(job)["cancel"] == 1


@pytest.mark.parametrize(
    "error", [errors.ProviderError(), RuntimeError("a plug's own fault"), OSError("broken pipe")]
)
async def test_sweep_when_a_provider_cannot_be_told_asks_again_and_rescues_all_the_same(
    shop: Workshop, error: Exception
) -> None:
    shop.provider.cancel_error = error
    job = await shop.queue(params={"pending": True, "seconds": 60})
    async with working(shop.worker()):
        await shop.until(job, JobStatus.WAITING)
    await shop.database.write(lambda tx: store.cancel(tx, job.id))
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
        await shop.database.write(lambda tx, job=job: store.cancel(tx, job.id))
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
    async with working(shop.worker(), shop.janitor()):
        await shop.until_sent(job)
        await shop.database.write(lambda tx: store.cancel(tx, job.id))  # and nobody rings
        await until_closed(shop, job, Outcome.CANCELED)
        assert shop.calls(job)["cancel"] == 0
        shop.provider.start_gate.set()
        await wait_until_async(lambda: asyncio.sleep(0, shop.calls(job)["cancel"] == 1))


async def test_result_when_its_job_was_canceled_meanwhile_is_dropped_but_its_cost_kept(
    shop: Workshop, tmp_path: Path
) -> None:
    job = await shop.queue(params={"outputs": 1}, repeatable=False)
    shop.assets.overtake = lambda: shop.database.write(lambda tx: store.cancel(tx, job.id))
    async with working(shop.worker()):
        await shop.until(job, JobStatus.CANCELED)

        async def known() -> bool:
            return (await shop.attempts(job))[-1].cost_micros == 0

        await wait_until_async(known)
    assert (await shop.attempts(job))[-1].state is AttemptState.SENT, "the sweep closes it"
    images = tmp_path / "objects" / "images"
    assert not [path for path in images.rglob("*") if path.is_file()]


# --- faults of all kinds ---------------------------------------------------------------------


async def test_paid_result_when_storage_is_away_is_held_until_it_is_back(shop: Workshop) -> None:
    shop.assets.failures += [errors.StorageFailed(), errors.StorageFull()]
    job = await shop.queue(params={"outputs": 1}, repeatable=False, model="fake-paid")
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.attempts, shop.calls(job)["start"]) == (1, 1)


@pytest.mark.parametrize(
    "error", [errors.OutOfResources(), errors.MediaTruncated(), RuntimeError("bug")]
)
async def test_paid_result_when_it_cannot_be_kept_fails_and_is_not_bought_again(
    shop: Workshop, error: Exception
) -> None:
    shop.assets.failures += [error] * 3
    job = await shop.queue(params={"outputs": 1}, repeatable=False, model="fake-paid")
    async with working(shop.worker()):
        await shop.until(job, JobStatus.FAILED)
    assert shop.calls(job)["start"] == 1
    assert [(a.outcome, a.cost_micros) for a in await shop.attempts(job)] == [(Outcome.FAILED, 0)]


async def test_repeatable_result_when_storage_is_away_is_made_again(shop: Workshop) -> None:
    shop.assets.failures += [errors.StorageFailed()]
    job = await shop.queue(params={"outputs": 1})
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.attempts, shop.calls(job)["start"]) == (2, 2)


@pytest.mark.parametrize("error", [OSError("broken"), ServiceError(), errors.FetchError()])
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
    [errors.ProviderRateLimited(retry_after=MOMENT), errors.ProviderError(), ServiceError()],
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


async def test_check_when_the_provider_says_it_failed_for_good_ends_the_job(
    shop: Workshop,
) -> None:
    shop.provider.check_error = errors.ProviderRejected("no")
    job = await shop.queue(params={"pending": True})
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["detail"] == "no"
    assert [a.outcome for a in await shop.attempts(job)] == [Outcome.FAILED]


async def test_check_when_a_plug_breaks_ends_the_job_and_cancels_at_the_provider(
    shop: Workshop,
) -> None:
    shop.provider.check_error = ZeroDivisionError()
    job = await shop.queue(params={"pending": True})
    async with working(shop.worker(), shop.janitor()):
        done = await shop.until(job, JobStatus.FAILED)
        await until_closed(shop, job, Outcome.CANCELED)
    assert (done.error or {})["code"] == "internal"
    assert shop.calls(job)["cancel"] == 1


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
    shop.provider.start_error = errors.ProviderRejected("a\x00b \ud83d")
    job = await shop.queue()
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.FAILED)
    assert (done.error or {})["detail"] == "a\ufffdb ?"


@pytest.mark.parametrize("progress", [float("nan"), float("inf"), -5.0, 1e9])
async def test_progress_when_it_is_nonsense_is_put_right(shop: Workshop, progress: float) -> None:
    shop.provider.progress = progress
    stage = "long \x00 " * 100
    shop.provider.pending = Pending("ticket", timedelta(seconds=0.2), stage, progress)
    job = await shop.queue()
    async with working(shop.worker()):
        parked = await shop.until(job, JobStatus.WAITING)
        await shop.until(job, JobStatus.SUCCEEDED)
    assert 0 <= parked.progress <= 100
    assert len(parked.stage or "") == 200


async def test_progress_when_it_cannot_be_written_does_not_disturb_the_job(
    shop: Workshop,
) -> None:
    shop.database.away["ProgressWriter"] = EVER
    job = await shop.queue(params={"seconds": 0.2})
    async with working(shop.worker()):
        await shop.until(job, JobStatus.SUCCEEDED)
    assert shop.database.away["ProgressWriter"] < EVER


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
    shop.database.away["_store"] = 1
    job = await shop.queue(params={"pending": True}, repeatable=False, model="fake-paid")
    async with working(shop.worker()):
        done = await shop.until(job, JobStatus.SUCCEEDED)
    assert (done.attempts, shop.calls(job)["start"]) == (1, 1)


async def test_ticket_when_the_worker_stops_the_moment_it_comes_is_stored(
    shop: Workshop,
) -> None:
    """The stop cancels the run while the ticket is being written."""
    shop.database.away["_store"] = 1  # so that writing it takes a second
    job = await shop.queue(params={"pending": True, "seconds": 60}, repeatable=False)
    async with working(shop.worker()):
        await wait_until_async(lambda: asyncio.sleep(0, shop.database.away["_store"] == 0))
    assert (await shop.attempts(job))[-1].state is AttemptState.TICKETED
    assert (await shop.look(job)).status is JobStatus.WAITING


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
