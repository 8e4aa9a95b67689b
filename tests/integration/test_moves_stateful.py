"""Random moves from several workers, a janitor and a person, held against a plain model."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from safelight import ids
from safelight.assets.service import Assets
from safelight.db import tables
from safelight.db.engine import Work, open_database
from safelight.db.types import now
from safelight.doorbell.memory import MemoryDoorbell
from safelight.errors import ServiceError, WrongState
from safelight.jobs.job import (
    FINAL,
    MAX_CRASHES,
    Ground,
    Job,
    JobStatus,
    Outcome,
    StaleJob,
)
from safelight.jobs.ledger import attempts, batch_store, callback_store, moves, store
from safelight.jobs.retry import RetryPolicy
from safelight.jobs.scheduling import claims
from safelight.jobs.service import Jobs
from safelight.providers.errors import (
    ProviderError,
    ProviderRejected,
    ProviderUnauthorized,
    UnknownOutcome,
)
from safelight.providers.local.fake import FakeProvider
from safelight.providers.provider import ABSENT, Absent, Canceled, Done, LostStart
from safelight.providers.registry import Registry
from safelight.storage.disk import DiskStorage
from safelight.worker.attempt import verdict
from safelight.worker.attempt.run_state import Clock, Run
from safelight.worker.attempt.settlement import Settlement
from safelight.worker.attempt.verdict import Judgment, Situation
from safelight.worker.attempt.writes import Success, Writes, succeed_all
from safelight.worker.upkeep.janitor import Janitor
from safelight.worker.upkeep.metrics import Signals
from safelight.worker.upkeep.retention import Retention
from tests import factories
from tests.factories import PROBLEM, batch_row, claim_of, job_row

pytestmark = pytest.mark.slow

T = TypeVar("T")

LANE = "remote"
WORKERS = ("wrk_1", "wrk_2", "wrk_3")
PICK = st.integers(min_value=0, max_value=63)
# Often what is done often. One rule chooses among them: hypothesis would leave out half the rules
# of a run, and most of these do nothing where no job was claimed.
OF_A_CLAIM = {
    "send": 6,
    "ticket": 5,
    "park": 2,
    "succeed": 3,
    "try_later": 1,
    "fail": 1,
    "release": 2,
    "progress": 1,
    "renew": 1,
    "lease_runs_out": 2,
    "worker_dies": 2,
    "refused_look": 2,
    "verdict": 1,
    "refused_order": 1,
    "unsent_order": 1,
    "lost_answer": 1,
    "absent_order": 1,
    "refused_write": 1,
    "queue_while_open": 2,
}
ACTIONS = [
    name
    for name, weight in {
        **OF_A_CLAIM,
        "claim": 6,
        "hours_pass": 2,
        "submit": 1,
        "submit_batch": 1,
        "cancel": 2,
        "redrive": 3,
        "start_by_passes": 1,
        "clean_up": 3,
        "callback": 1,
        "late_result": 2,
    }.items()
    for _ in range(weight)
]
STATUS_TOLD = {
    "job.queued": "queued",
    "job.retrying": "queued",
    "job.started": "running",
    "job.waiting": "running",
    "job.succeeded": "succeeded",
    "job.failed": "failed",
    "job.canceled": "canceled",
}
EXAMPLES = {"sqlite": 50, "postgresql": 25}
COST, CANCEL_COST = 7, 3
MAX_TRIES = 3
FREE = {Ground.REFUSED, Ground.ABSENT, Ground.UNSENT, Ground.REPEATABLE}
# After these, and no other word, paid work may be begun again.
MAY_FOLLOW = {
    Ground.VERDICT,
    Ground.REFUSED,
    Ground.ABSENT,
    Ground.UNSENT,
    Ground.CANCELED,
    Ground.PERSON,
}


@dataclass
class Tried:
    """The model's record of one attempt."""

    state: str = "sent"
    ground: str = "none"
    cost: int | None = None
    cancels: int = 0
    due: bool = False  # for the janitor's look, once its job is final

    @property
    def is_open(self) -> bool:
        return self.state != "closed"

    def close(self, ground: Ground, cost: int | None = None) -> None:
        """End it; what it costs may be known before, and is known where nothing was begun."""
        if self.is_open:
            self.state, self.ground = "closed", ground
        self.pay(0 if cost is None and ground in FREE else cost)

    def pay(self, cost: int | None) -> None:
        self.cost = cost if self.cost is None else self.cost


class Vendor(FakeProvider):
    """Answers a cancel, and a question about a lost start, as it is told to."""

    cancels: str = "confirmed"  # or "accepted", or "refused"
    absent: bool = False

    async def cancel(self, ticket: str) -> Canceled:
        if self.cancels == "refused":
            raise ProviderUnauthorized
        confirmed = self.cancels == "confirmed"
        return Canceled(confirmed, CANCEL_COST if confirmed else None)

    async def look_up(self, lost: LostStart) -> str | Absent | None:
        return ABSENT if self.absent else None


@dataclass
class Known:
    """The model's record of one job."""

    status: JobStatus
    repeatable: bool
    batch: str | None
    due: bool
    fence: int = 0
    tries: int = 0
    crashes: int = 0
    wakes: int = 0
    started: bool = False
    late: bool = False  # its `start_by` has passed
    lease_over: bool = False
    ledger: dict[str, Tried] = field(default_factory=dict[str, Tried])  # by attempt id

    @property
    def open(self) -> Tried | None:
        """The attempt that is under way."""
        return next((tried for tried in self.ledger.values() if tried.is_open), None)

    @property
    def is_at_work(self) -> bool:
        """Say whether its provider has it, and has given a ticket for it."""
        return self.open is not None and self.open.state == "ticketed"

    @property
    def open_id(self) -> str:
        """The id of the attempt that is under way."""
        return next(key for key, tried in self.ledger.items() if tried.is_open)

    @property
    def claimable(self) -> bool:
        if self.status is JobStatus.WAITING:
            return self.due
        return self.status is JobStatus.QUEUED and self.due and (self.started or not self.late)

    @property
    def costs(self) -> tuple[int | None, int]:
        """The cost of all attempts, None if one is unknown; and the known part."""
        costs = [tried.cost for tried in self.ledger.values()]
        known = sum(cost for cost in costs if cost is not None)
        return (None if None in costs else known), known

    def close(self, ground: Ground, cost: int | None = None) -> None:
        if self.open is not None:
            self.open.close(ground, cost)

    def lose_sight(self) -> None:
        if self.open is not None and self.open.state == "sent":
            self.open.state = "unknown"

    def let_go(self) -> None:
        """Do as when a worker leaves it: to be resumed where it may have been paid for."""
        if self.open is not None and self.open.state == "sent" and self.repeatable:
            self.close(Ground.REPEATABLE)
            self.tries -= 1
        self.lose_sight()
        self.status = JobStatus.QUEUED if self.open is None else JobStatus.WAITING
        self.due = True

    def wake(self) -> None:
        """Do as when there is news of its attempt."""
        if self.status in (JobStatus.RUNNING, JobStatus.WAITING):
            self.wakes += 1
            self.due = self.due or self.status is JobStatus.WAITING

    def wait(self) -> None:
        """Do as when its worker leaves it with its provider, and lives."""
        self.lose_sight()
        self.status, self.due, self.crashes = JobStatus.WAITING, False, 0

    def queue(self, *, due: bool = False) -> None:
        self.status, self.due, self.crashes = JobStatus.QUEUED, due, 0


class Moves(RuleBasedStateMachine):
    """Each rule does one thing to the database and the same to the model."""

    url: str
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.database = open_database(self.url)
        self.vendor = Vendor()
        registry = Registry([self.vendor])
        storage = DiskStorage(self.folder / "objects")
        assets = Assets(self.database, storage)
        trash = factories.trash(self.database, assets, storage, self.folder)
        self.service = Jobs(self.database, assets, trash, slots={})
        self.janitor = Janitor(
            self.database,
            MemoryDoorbell(),
            registry,
            Signals(self.database, None),
            Retention(self.database, events_kept=None, jobs_kept=None),
            assets=assets,
            trash=factories.trash(self.database, assets, storage, self.folder),
            interval=timedelta(seconds=1),
            lease=timedelta(),
            sole_worker=True,
        )
        writes = Writes(self.database)
        self.settlement = Settlement(self.database, assets, RetryPolicy(), writes)
        self.known: dict[str, Known] = {}
        self.claims: list[Job] = []  # all that were ever had, void ones too
        self.fences: defaultdict[str, set[int]] = defaultdict(set)  # all that a job ever had
        self.batches: dict[str, int] = {}  # how often each was finished
        self.cursor = claims.START
        self.account = ""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)

    def write(self, work: Work[T]) -> T:
        return self.run(self.database.write(work))

    def teardown(self) -> None:
        self.run(self.database.close())
        self.loop.close()

    @initialize()
    def begin(self) -> None:
        for table in ("events", "attempts", "jobs", "batches"):
            self.write(lambda tx, t=table: tx.execute(sa.delete(tables.metadata.tables[t])))
        self.account = self.run(factories.new_account(self.database))
        self.submit(1, True)
        self.submit(1, False)

    @rule(name=st.sampled_from(ACTIONS), pick=PICK, flag=st.booleans())
    def do(self, name: str, pick: int, flag: bool) -> None:
        """Do one thing; `pick` and `flag` say with which job or claim, and in which way."""
        if name in OF_A_CLAIM and not self.claims:
            name = "claim"
        getattr(self, name)(pick, flag)

    # --- a person ----------------------------------------------------------------------------

    def submit(self, pick: int, repeatable: bool) -> None:
        if len(self.known) >= 4:
            return
        delayed = pick % 4 == 0
        run_at = datetime.now(UTC) + timedelta(hours=1) if delayed else None
        row = job_row(self.account, repeatable=repeatable, run_at=run_at)
        self.write(lambda tx: store.insert(tx, [row]))
        self.known[row["id"]] = Known(JobStatus.QUEUED, repeatable, None, not delayed)

    def submit_batch(self, pick: int, _: bool) -> None:
        if self.batches:
            return
        size = 1 + pick % 2
        batch = batch_row(self.account)
        rows = [
            job_row(self.account, batch_id=batch["id"], batch_index=index) for index in range(size)
        ]

        def write(tx: Connection) -> None:
            batch_store.insert(tx, batch)
            store.insert(tx, rows)

        self.write(write)
        self.batches[batch["id"]] = 0
        for row in rows:
            self.known[row["id"]] = Known(JobStatus.QUEUED, True, batch["id"], True)

    def cancel(self, pick: int, at_once: bool = False) -> None:
        """A wish until the provider confirms it; `at_once`, a late ticket comes and is canceled."""
        job_id, known = self.pick(
            pick, lambda job: job.open is not None and job.status not in FINAL
        )
        if known.status in FINAL:
            with pytest.raises(WrongState):
                self.run(self.service.cancel(self.account, job_id))
            return
        self.run(self.service.cancel(self.account, job_id))
        self.end(known, JobStatus.CANCELED)
        if at_once and known.open is not None:
            assert self.write(lambda tx: factories.keep_ticket(tx, known.open_id, ids.secret(40)))
            known.open.state = "ticketed"
            self.clean_up(pick)

    def redrive(self, pick: int, _: bool = False) -> None:
        """Somebody's word ends what may be paid for, once its provider was asked to cancel."""
        job_id, known = self.pick(pick, lambda job: job.is_at_work and job.status in FINAL)
        unasked = known.open is not None and known.is_at_work and not known.open.cancels
        if known.status not in (JobStatus.FAILED, JobStatus.CANCELED) or unasked:
            with pytest.raises(WrongState):
                self.run(self.service.redrive(self.account, job_id))
            return
        self.run(self.service.redrive(self.account, job_id))
        known.close(Ground.PERSON)
        known.status, known.due, known.tries, known.crashes = JobStatus.QUEUED, True, 0, 0
        known.started = known.late = False

    # --- workers -----------------------------------------------------------------------------

    def claim(self, pick: int, _: bool) -> None:
        worker, slots = WORKERS[pick % 3], 1 + pick % 2
        taken = self.write(
            lambda tx: claims.claim(
                tx, worker=worker, lane=LANE, slots=slots, lease=factories.LEASE, cursor=self.cursor
            )
        )
        self.cursor = taken.cursor
        able = {job_id for job_id, known in self.known.items() if known.claimable}
        assert {job.id for job in taken.jobs} <= able
        due_checks = {i for i in able if self.known[i].status is JobStatus.WAITING}
        checks = {job.id for job in taken.jobs[: taken.checks]}
        assert checks == due_checks, "checks need no slot"
        assert len(taken.jobs) - len(checks) == min(slots, len(able - due_checks))
        for job in taken.jobs:
            known = self.known[job.id]
            known.started = known.started or known.status is JobStatus.QUEUED
            assert job.fence not in self.fences[job.id], "a void claim would hold again"
            self.fences[job.id].add(job.fence)
            known.status, known.fence = JobStatus.RUNNING, job.fence
            known.lease_over = False
        self.claims += taken.jobs

    def send(self, pick: int, _: bool = False) -> None:
        job, known, held = self.pick_claim(pick, at_work=pick % 8 == 0)
        if held and known.open is not None:
            with pytest.raises(IntegrityError):
                self.write(lambda tx: factories.send(tx, claim_of(job), "fake"))
            return
        if not held:
            with pytest.raises(StaleJob):
                self.write(lambda tx: factories.send(tx, claim_of(job)))
            return
        made = self.write(lambda tx: factories.send(tx, claim_of(job)))
        known.ledger[made.id] = Tried()
        known.tries += 1

    def ticket(self, pick: int, _: bool = False) -> None:
        """It may come from a worker whose claim is void: it is kept all the same."""
        picked = self.pick_tried(pick)
        if picked is None:
            return
        attempt, tried, _known = picked
        kept = self.write(lambda tx: factories.keep_ticket(tx, attempt, ids.secret(40)))
        assert kept == tried.is_open
        if kept:
            tried.state = "ticketed"
            tried.due = True

    def callback(self, pick: int, is_proven: bool) -> None:
        """Its provider reports by itself, however late: it tells the ticket, and wakes the job."""
        picked = self.pick_tried(pick)
        if picked is None:
            return
        attempt, tried, known = picked

        def write(tx: Connection) -> str | None:
            found = callback_store.find(tx, "fake", attempt, None)
            if found is not None:
                if is_proven:
                    callback_store.keep(tx, found, b"{}", ids.secret(40))
                callback_store.wake(tx, found)
            return found

        assert (self.write(write) is not None) == tried.is_open
        if tried.is_open:
            if is_proven and tried.state != "ticketed":
                tried.state, tried.due = "ticketed", True
            known.wake()

    def park(self, pick: int, _: bool = False) -> None:
        job, known, held = self.pick_claim(pick, at_work=True)
        later = datetime.now(UTC) + timedelta(hours=1)

        def write(tx: Connection) -> None:
            factories.park(
                tx, claim_of(job), check_at=later, wakes=job.wakes, stage="away", progress=50
            )

        if self.try_to(held, write):
            known.status, known.crashes = JobStatus.WAITING, 0
            known.due = known.wakes != job.wakes  # it was woken since the claim

    def succeed(self, pick: int, _: bool = False) -> None:
        """The open attempt is the fence: any worker may bring its result."""
        picked = self.pick_tried(pick)
        if picked is None:
            return
        attempt, tried, known = picked
        success = Success(self.job_of(known), attempt, COST, [])
        there = self.run(self.database.read(lambda tx: attempts.with_job(tx, attempt)))
        # Also where the job failed, if only because its outcome was unknown.
        taken = tried.is_open and there is not None and there[1].awaits_result
        found = self.write(lambda tx: succeed_all(tx, [success]))[0]
        assert isinstance(found, Job) == taken
        if taken:
            tried.close(Ground.VERDICT, COST)
            if known.status is JobStatus.FAILED:
                known.status = JobStatus.SUCCEEDED  # its batch has been told to be over
            else:
                self.end(known, JobStatus.SUCCEEDED)

    def late_result(self, pick: int, _: bool = False) -> None:
        """It comes where nobody can take it any more: what it cost is written all the same."""
        picked = self.pick_tried(pick)
        if picked is None or picked[2].status not in FINAL:
            return
        attempt_id, tried, known = picked
        found = self.run(self.database.read(lambda tx: attempts.of_job(tx, self.job_of(known))))
        attempt = next(each for each in found if each.id == attempt_id)
        self.run(self.settlement.abandon(attempt, Done((), COST), []))
        tried.close(Ground.VERDICT, COST)

    def try_later(self, pick: int, uncounted: bool) -> None:
        """Retry, or snooze, which costs no attempt."""
        job, known, held = self.pick_claim(pick)
        later = datetime.now(UTC) + timedelta(hours=1)

        def write(tx: Connection) -> None:
            closed = self.close_attempt(tx, job, Outcome.FAILED)
            if not uncounted:
                moves.retry(tx, claim_of(job), at=later, error=PROBLEM)
                return
            if closed:
                attempts.uncount(tx, job.id)
            moves.snooze(tx, claim_of(job), until=later, reason="busy")

        was_open = known.open is not None
        if self.try_to(held, write):
            known.close(Ground.VERDICT)
            known.queue()
            known.tries -= uncounted and was_open

    def queue_while_open(self, pick: int, _: bool = False) -> None:
        """Work in progress is never queued to be started again, even if nobody settles it."""
        job, known, held = self.pick_claim(pick, at_work=True)
        if held and known.open is not None:
            at = datetime.now(UTC)
            with pytest.raises(StaleJob):
                self.write(lambda tx: moves.retry(tx, claim_of(job), at=at, error=PROBLEM))

    def fail(self, pick: int, _: bool = False) -> None:
        job, known, held = self.pick_claim(pick)

        def write(tx: Connection) -> None:
            moves.fail(tx, claim_of(job), error=PROBLEM)
            self.close_attempt(tx, job, Outcome.FAILED)

        if self.try_to(held, write):
            known.close(Ground.VERDICT)
            self.end(known, JobStatus.FAILED)

    def release(self, pick: int, _: bool = False) -> None:
        job, known, held = self.pick_claim(pick, at_work=True)

        def write(tx: Connection) -> None:
            attempts.let_go(tx, [moves.lock_claimed(tx, claim_of(job))])
            assert len(moves.release(tx, [claim_of(job)])) == 1

        if self.try_to(held, write):
            known.let_go()

    def progress(self, pick: int, _: bool) -> None:
        job, _known, held = self.pick_claim(pick)
        self.try_to(held, lambda tx: factories.report(tx, claim_of(job), percent=7, stage="busy"))

    def renew(self, pick: int, _: bool) -> None:
        worker = WORKERS[pick % 3]
        mine = [job for job in self.claims if job.leased_by == worker]
        held = self.write(
            lambda tx: claims.renew(
                tx, worker=worker, running=[claim_of(job) for job in mine], lease=factories.LEASE
            )
        )
        for job in mine:
            assert (claim_of(job) in held) == self.holds(job)
            if self.holds(job):
                self.known[job.id].lease_over = False

    # --- what a run may meet at its provider -------------------------------------------------

    def refused_look(self, pick: int, _: bool = False) -> None:
        """A rotated key, an outage, a late clock: nothing that is said of a look ends the work."""
        error = (ProviderUnauthorized(), ProviderError(), ProviderRejected())[pick % 3]
        known = self.settle(pick, lambda at: verdict.look_failed(at, error))
        if known is not None:
            known.wait()

    def verdict(self, pick: int, again: bool) -> None:
        """The provider ended this very work; a worker whose claim is void brings that as well."""
        error = ProviderError() if again else ProviderRejected()
        known = self.settle(
            pick,
            lambda at: verdict.by_verdict(at, error, COST),
            closing=lambda known: known.close(Ground.VERDICT, COST),
        )
        if known is not None:
            self.decided(known, again=again)

    def refused_order(self, pick: int, again: bool) -> None:
        error = ProviderError() if again else ProviderUnauthorized()
        known = self.settle(
            pick,
            lambda at: verdict.not_begun(at, error, Ground.REFUSED),
            closing=lambda known: known.close(Ground.REFUSED),
        )
        if known is not None:
            self.decided(known, again=again)

    def unsent_order(self, pick: int, _: bool = False) -> None:
        """A stop, or a fault of ours, came before the call: known not to have been sent."""
        known = self.settle(
            pick,
            lambda at: verdict.not_begun(at, ProviderError(), Ground.UNSENT),
            closing=lambda known: known.close(Ground.UNSENT),
        )
        if known is not None:
            self.decided(known, again=True)
            known.tries -= 1

    def lost_answer(self, pick: int, can_be_asked: bool) -> None:
        """The response is lost: work with a ticket is asked for, other work as its cost allows."""

        def closing(known: Known) -> None:
            if known.repeatable and not known.is_at_work:
                known.close(Ground.REPEATABLE)

        known = self.settle(
            pick,
            lambda at: verdict.answer_lost(at, UnknownOutcome()),
            closing=closing,
            adopts_within=timedelta(hours=1 if can_be_asked else 0),
        )
        if known is None:
            return
        if known.is_at_work:
            known.wait()
        elif known.repeatable:
            self.decided(known, again=True)
        elif can_be_asked:
            known.wait()
        else:
            known.lose_sight()
            self.end(known, JobStatus.FAILED)

    def absent_order(self, pick: int, _: bool = False) -> None:
        """The provider confirms that it never received the order: it is placed once more.

        Not where a ticket came during the look.
        """
        known = self.settle(
            pick,
            lambda at: verdict.absent(at, timedelta()),
            closing=lambda known: None if known.is_at_work else known.close(Ground.ABSENT),
        )
        if known is None:
            return
        if known.open is not None:
            known.wait()
        else:
            known.queue()
            known.tries -= 1

    def refused_write(self, pick: int, _: bool = False) -> None:
        """The database takes a whole settlement back: nothing of it may be seen."""
        job, known, held = self.pick_claim(pick, at_work=True)
        if not held or known.open is None:
            return

        def write(tx: Connection) -> None:
            factories.close(tx, known.open_id, Outcome.FAILED, cost_micros=COST)
            moves.fail(tx, claim_of(job), error=PROBLEM)
            raise ServiceError

        with pytest.raises(ServiceError):
            self.write(write)

    def settle(
        self,
        pick: int,
        judge: Callable[[Situation], Judgment],
        *,
        closing: Callable[[Known], None] | None = None,
        adopts_within: timedelta = timedelta(),
    ) -> Known | None:
        """Have a run settled that knows of its job's open attempt; None where that is refused.

        Without a claim, what closes an attempt that has no ticket is carried out all the same, as
        far as the job still waits for it; `closing` is what that does to it.
        """
        job, known, held = self.pick_claim(pick, at_work=True)
        if known.open is None:
            return None
        row = self.run(self.database.read(lambda tx: attempts.current(tx, job.id)))
        run = Run(job, Clock(datetime.now(UTC)), resumes=True)
        if not held:
            if closing is not None and known.open.state != "ticketed":
                closing(known)
            if known.open is not None or known.status not in (JobStatus.RUNNING, JobStatus.WAITING):
                with pytest.raises(StaleJob):
                    self.run(self.settlement.settle(run, row, judge, adopts_within))
                return None
        settled = self.run(self.settlement.settle(run, row, judge, adopts_within))
        known.fence = settled.fence  # another one, where a waiting job was taken
        self.set(job.id, run_at=now(timedelta(hours=1)))  # whatever the pace, it is not due yet
        self.write(lambda tx: tx.execute(sa.delete(tables.breakers)))  # they would hold it back
        if closing is not None:
            closing(known)
        return known

    def decided(self, known: Known, *, again: bool) -> None:
        """Do as `retry.decide` does about an error that may pass, or may not."""
        if again and known.tries < MAX_TRIES:
            known.queue()
        else:
            self.end(known, JobStatus.FAILED)

    # --- time and the janitor ----------------------------------------------------------------

    def hours_pass(self, _pick: int, _: bool) -> None:
        for job_id, known in self.known.items():
            if not known.due:
                self.set(job_id, run_at=now(factories.LONG_AGO))
                known.due = True
            for tried in known.ledger.values():
                tried.due = True
        self.set_looks(factories.LONG_AGO)

    def start_by_passes(self, pick: int, _: bool = False) -> None:
        job_id, known = self.pick(pick)
        self.set(job_id, start_by=now(factories.LONG_AGO))
        known.late = True

    def lease_runs_out(self, pick: int, _: bool = False) -> None:
        job, known, _ = self.pick_claim(pick)
        if known.status is JobStatus.RUNNING:
            self.set(job.id, leased_until=now(factories.LONG_AGO))
            known.lease_over = True

    def worker_dies(self, pick: int, _: bool = False) -> None:
        self.lease_runs_out(pick)
        self.clean_up()

    def clean_up(self, pick: int = 0, absent: bool = False) -> None:
        """Rescue, bury, expire, and reconcile what ended jobs left open at their providers."""
        self.vendor.cancels = ("accepted", "refused", "confirmed")[pick % 3]
        self.vendor.absent = absent
        self.run(self.janitor.round())
        self.set_looks(timedelta(hours=1))  # whatever the pace, it is not due yet
        for known in self.known.values():
            if known.status is JobStatus.RUNNING and known.lease_over:
                known.let_go()
                known.crashes += 1
                known.due = known.crashes == 1
                if known.crashes >= MAX_CRASHES and known.open is None:
                    self.end(known, JobStatus.FAILED)
            if known.status is JobStatus.QUEUED and known.late and not known.started:
                self.end(known, JobStatus.FAILED)
            if known.status in FINAL and known.open is not None and known.open.due:
                self.reconciled(known, known.open)

    def reconciled(self, known: Known, tried: Tried) -> None:
        tried.due = False
        if tried.state != "ticketed":
            if known.repeatable:
                tried.close(Ground.REPEATABLE)
            elif self.vendor.absent:
                tried.close(Ground.ABSENT)
            else:
                tried.state = "unknown"
        elif self.vendor.cancels == "confirmed":
            tried.close(Ground.CANCELED, CANCEL_COST)
        else:
            tried.cancels += 1

    # --- the parts of rules ------------------------------------------------------------------

    def pick(
        self, number: int, prefer: Callable[[Known], bool] = lambda _: True
    ) -> tuple[str, Known]:
        """Return a job; three times of four, where there is one, of those that are preferred."""
        preferred = [job_id for job_id, known in self.known.items() if prefer(known)]
        some = list(self.known) if number % 4 == 0 or not preferred else preferred
        job_id = some[number // 4 % len(some)]
        return job_id, self.known[job_id]

    def pick_claim(self, number: int, *, at_work: bool | None = None) -> tuple[Job, Known, bool]:
        """Return a claim, its job, and whether it holds: every fourth is one of the void.

        With `at_work` said, one whose job has an open attempt, or has none, where there is one.
        """
        newest = self.claims[-8:]
        if at_work is not None:
            wanted = [
                job for job in self.claims if (self.known[job.id].open is not None) == at_work
            ]
            newest = wanted or newest
        valid = [job for job in newest if self.holds(job)]
        void = [job for job in newest if not self.holds(job)]
        some = (void if number % 4 == 0 else valid) or newest
        job = some[number // 4 % len(some)]
        return job, self.known[job.id], self.holds(job)

    def pick_tried(self, number: int) -> tuple[str, Tried, Known] | None:
        """Return an attempt, if there is any: three times of four an open one."""
        tried = [
            (key, each, known)
            for known in self.known.values()
            for key, each in known.ledger.items()
        ]
        chosen = [each for each in tried if each[1].is_open or number % 4 == 0] or tried
        return chosen[number // 4 % len(chosen)] if chosen else None

    def holds(self, job: Job) -> bool:
        known = self.known[job.id]
        return known.status is JobStatus.RUNNING and known.fence == job.fence

    def try_to(self, held: bool, work: Work[object]) -> bool:
        if held:
            self.write(work)
            return True
        with pytest.raises(StaleJob):
            self.write(work)
        return False

    def close_attempt(self, tx: Connection, job: Job, outcome: Outcome) -> bool:
        current = attempts.current(tx, job.id)
        return current is not None and factories.close(tx, current.id, outcome)

    def job_of(self, known: Known) -> str:
        return next(job_id for job_id, each in self.known.items() if each is known)

    def set_looks(self, after: timedelta) -> None:
        """Have the janitor look at what final jobs left open then."""
        waiting = sa.update(tables.attempts).where(tables.attempts.c.look_at.is_not(None))
        self.write(lambda tx: tx.execute(waiting.values(look_at=now(after))))

    def set(self, job_id: str, **values: Any) -> None:
        statement = sa.update(tables.jobs).where(tables.jobs.c.id == job_id).values(**values)
        self.write(lambda tx: tx.execute(statement))

    def end(self, known: Known, status: JobStatus) -> None:
        known.status = status
        if known.open is not None:
            known.open.due = True
        if known.batch is not None:
            mates = [job for job in self.known.values() if job.batch == known.batch]
            self.batches[known.batch] += all(job.status in FINAL for job in mates)

    # --- what must always hold ---------------------------------------------------------------

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        rows, ledger, told, batches = self.run(self.database.read(everything))
        assert {row["id"] for row in rows} == set(self.known)
        for row in rows:
            self.check_job(row, [att for att in ledger if att["job_id"] == row["id"]])
            check_events(row, [event for event in told if event["subject"] == row["id"]])
        for batch in batches:
            mates = [row for row in rows if row["batch_id"] == batch["id"]]
            ended = all(row["finished_at"] is not None for row in mates)
            assert (batch["finished_at"] is not None) == ended
            kinds = [event["type"] for event in told if event["subject"] == batch["id"]]
            assert kinds == ["batch.created"] + ["batch.finished"] * self.batches[batch["id"]]
            assert batch["seq"] == len(kinds)

    def check_job(self, row: RowMapping, ledger: list[RowMapping]) -> None:
        known = self.known[row["id"]]
        assert (row["status"], row["fence"]) == (known.status, known.fence)
        assert (row["attempts"], row["crashes"]) == (known.tries, known.crashes)
        assert (row["leased_until"] is not None) == (row["status"] == "running")
        assert (row["finished_at"] is not None) == (known.status in FINAL)
        told = {att["id"]: (att["state"], att["ground"], att["cost_micros"]) for att in ledger}
        assert told == {
            key: (tried.state, tried.ground, tried.cost) for key, tried in known.ledger.items()
        }
        if known.status in FINAL:
            assert (row["cost_micros"], row["cost_known_micros"]) == known.costs
        for att in ledger[:-1]:
            assert att["ground"] in MAY_FOLLOW or known.repeatable, "it may be paid for twice"
        assert [att["number"] for att in ledger] == list(range(1, len(ledger) + 1))
        assert sum(att["state"] != "closed" for att in ledger) <= 1
        if row["status"] == "queued":
            assert known.open is None, "what is under way is never put back to be started"


def check_events(row: RowMapping, told: list[RowMapping]) -> None:
    assert [event["seq"] for event in told] == list(range(1, row["seq"] + 1))
    last = [event["type"] for event in told if event["type"] != "job.progress"][-1]
    shown = "running" if row["status"] == "waiting" else row["status"]
    assert STATUS_TOLD[last] == shown


def everything(tx: Connection) -> tuple[list[RowMapping], ...]:
    found: list[list[RowMapping]] = []
    for table, order in (
        (tables.jobs, tables.jobs.c.id),
        (tables.attempts, tables.attempts.c.number),
        (tables.events, tables.events.c.seq),
        (tables.batches, tables.batches.c.id),
    ):
        found.append(list(tx.execute(sa.select(table).order_by(order)).mappings()))
    return tuple(found)


def test_moves_when_made_at_random_agree_with_the_model(
    migrated_database_url: str, database_kind: str, tmp_path: Path
) -> None:
    class Here(Moves):
        url = migrated_database_url
        folder = tmp_path

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES[database_kind],
            stateful_step_count=60,
            deadline=None,
            database=None,
            phases=(Phase.generate,),  # shrinking takes minutes; the steps are printed anyway
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
