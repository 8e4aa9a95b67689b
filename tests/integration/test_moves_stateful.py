"""Random moves from several workers, a janitor and a person, held against a plain model."""

import asyncio
from collections.abc import Coroutine
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
from safelight.errors import WrongState
from safelight.jobs import attempts, batch_store, claims, moves, store
from safelight.jobs.job import FINAL, MAX_CRASHES, Job, JobStatus, Outcome, StaleJob
from safelight.jobs.service import Jobs
from safelight.providers.fake import FakeProvider
from safelight.providers.registry import Registry
from safelight.storage.disk import DiskStorage
from safelight.worker.janitor import Janitor
from safelight.worker.retention import Retention
from safelight.worker.signals import Signals
from tests import factories
from tests.factories import PROBLEM, batch_row, claim_of, job_row

T = TypeVar("T")

LANE = "remote"
WORKERS = ("wrk_1", "wrk_2", "wrk_3")
PICK = st.integers(min_value=0, max_value=63)
# Often what is done often. One rule chooses among them: hypothesis would leave out half the rules
# of a run, and most of these do nothing where no job was claimed.
OF_A_CLAIM = {
    "send": 4,
    "ticket": 3,
    "park": 2,
    "succeed": 1,
    "try_later": 2,
    "fail": 1,
    "release": 2,
    "progress": 1,
    "renew": 1,
    "lease_runs_out": 1,
    "worker_dies": 2,
}
ACTIONS = [
    name
    for name, weight in {
        **OF_A_CLAIM,
        "claim": 6,
        "hours_pass": 2,
        "submit": 1,
        "submit_batch": 1,
        "cancel": 1,
        "redrive": 2,
        "start_by_passes": 1,
        "clean_up": 1,
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


@dataclass
class Known:
    """What the model knows of one job."""

    status: JobStatus
    repeatable: bool
    batch: str | None
    due: bool
    fence: int = 0
    tries: int = 0
    crashes: int = 0
    started: bool = False
    late: bool = False  # its `start_by` has passed
    lease_over: bool = False
    ledger: dict[str, str] = field(default_factory=dict[str, str])  # attempt id to state

    @property
    def open(self) -> str | None:
        """The id of the attempt that is under way."""
        return next((key for key, state in self.ledger.items() if state != "closed"), None)

    @property
    def claimable(self) -> bool:
        if self.status is JobStatus.WAITING:
            return self.due
        return self.status is JobStatus.QUEUED and self.due and (self.started or not self.late)

    def close(self) -> None:
        for key in self.ledger:
            self.ledger[key] = "closed"

    def let_go(self) -> None:
        """Do as when a worker leaves it: to be resumed where it may have been paid for."""
        if self.open is not None and self.ledger[self.open] == "sent":
            if self.repeatable:
                self.close()
                self.tries -= 1
            else:
                self.ledger[self.open] = "unknown"
        self.status = JobStatus.QUEUED if self.open is None else JobStatus.WAITING
        self.due = True


class Moves(RuleBasedStateMachine):
    """Each rule does one thing to the database and the same to the model."""

    url: str
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.database = open_database(self.url)
        registry = Registry([FakeProvider()])
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
        self.known: dict[str, Known] = {}
        self.claims: list[Job] = []  # all that were ever had, void ones too
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
        if len(self.known) >= 5:
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

    def cancel(self, pick: int, _: bool = False) -> None:
        job_id, known = self.pick(pick)
        if known.status in FINAL:
            with pytest.raises(WrongState):
                self.run(self.service.cancel(self.account, job_id))
            return
        self.run(self.service.cancel(self.account, job_id))
        self.end(known, JobStatus.CANCELED)

    def redrive(self, pick: int, _: bool = False) -> None:
        job_id, known = self.pick(pick)
        ticketed = known.open is not None and known.ledger[known.open] == "ticketed"
        if known.status not in (JobStatus.FAILED, JobStatus.CANCELED) or ticketed:
            with pytest.raises(WrongState):
                self.run(self.service.redrive(self.account, job_id))
            return
        self.run(self.service.redrive(self.account, job_id))
        known.close()
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
        assert len(taken.jobs) == min(slots, len(able))
        checks = [job.id for job in taken.jobs if self.known[job.id].status is JobStatus.WAITING]
        due_checks = [i for i in able if self.known[i].status is JobStatus.WAITING]
        assert len(checks) == min(slots, len(due_checks)), "checks go first"
        for job in taken.jobs:
            known = self.known[job.id]
            known.started = known.started or known.status is JobStatus.QUEUED
            known.status, known.fence = JobStatus.RUNNING, known.fence + 1
            known.lease_over = False
            assert job.fence == known.fence
        self.claims += taken.jobs

    def send(self, pick: int, _: bool = False) -> None:
        job, known, held = self.pick_claim(pick)
        if held and known.open is not None:
            with pytest.raises(IntegrityError):
                self.write(lambda tx: factories.send(tx, claim_of(job), "fake"))
            return
        if not held:
            with pytest.raises(StaleJob):
                self.write(lambda tx: factories.send(tx, claim_of(job)))
            return
        made = self.write(lambda tx: factories.send(tx, claim_of(job)))
        known.ledger[made.id] = "sent"
        known.tries += 1

    def ticket(self, pick: int, _: bool = False) -> None:
        """It may come from a worker whose claim is void: it is kept all the same."""
        ledgers = [(key, known) for known in self.known.values() for key in known.ledger]
        if not ledgers:
            return
        attempt, known = ledgers[pick % len(ledgers)]
        kept = self.write(lambda tx: factories.keep_ticket(tx, attempt, ids.secret(40)))
        assert kept == (known.ledger[attempt] != "closed")
        if kept:
            known.ledger[attempt] = "ticketed"

    def park(self, pick: int, _: bool = False) -> None:
        job, known, held = self.pick_claim(pick)
        later = datetime.now(UTC) + timedelta(hours=1)

        def write(tx: Connection) -> None:
            factories.park(tx, claim_of(job), check_at=later, wakes=0, stage="away", progress=50)

        if self.try_to(held, write):
            known.status, known.due = JobStatus.WAITING, False

    def succeed(self, pick: int, _: bool = False) -> None:
        job, known, held = self.pick_claim(pick)

        def write(tx: Connection) -> None:
            factories.succeed(tx, claim_of(job), cost_micros=7)
            self.close_attempt(tx, job, Outcome.SUCCEEDED)

        if self.try_to(held, write):
            known.close()
            self.end(known, JobStatus.SUCCEEDED)

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
            known.close()
            known.status, known.due = JobStatus.QUEUED, False
            known.tries -= uncounted and was_open

    def fail(self, pick: int, _: bool = False) -> None:
        job, known, held = self.pick_claim(pick)

        def write(tx: Connection) -> None:
            moves.fail(tx, claim_of(job), error=PROBLEM)
            self.close_attempt(tx, job, Outcome.FAILED)

        if self.try_to(held, write):
            known.close()
            self.end(known, JobStatus.FAILED)

    def release(self, pick: int, _: bool = False) -> None:
        job, known, held = self.pick_claim(pick)

        def write(tx: Connection) -> None:
            attempts.let_go(tx, [moves.held(tx, claim_of(job))])
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

    # --- time and the janitor ----------------------------------------------------------------

    def hours_pass(self, _pick: int, _: bool) -> None:
        for job_id, known in self.known.items():
            if not known.due:
                self.set(job_id, run_at=now(factories.LONG_AGO))
                known.due = True

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

    def clean_up(self, _pick: int = 0, _: bool = False) -> None:
        """Rescue, bury, expire, and settle what ended jobs left open."""
        self.run(self.janitor.round())
        for known in self.known.values():
            if known.status is JobStatus.RUNNING and known.lease_over:
                known.let_go()
                known.crashes += 1
                known.due = known.crashes == 1
                if known.crashes >= MAX_CRASHES:
                    self.end(known, JobStatus.FAILED)
            if known.status is JobStatus.QUEUED and known.late and not known.started:
                self.end(known, JobStatus.FAILED)
            if known.status in FINAL:
                known.close()

    # --- the parts of rules ------------------------------------------------------------------

    def pick(self, number: int) -> tuple[str, Known]:
        job_id = list(self.known)[number % len(self.known)]
        return job_id, self.known[job_id]

    def pick_claim(self, number: int) -> tuple[Job, Known, bool]:
        """Return a claim, its job, and whether it holds: every fourth may be one of the void."""
        newest = self.claims[-8:]
        valid = [job for job in newest if self.holds(job)]
        some = newest if number % 4 == 0 or not valid else valid
        job = some[number // 4 % len(some)]
        return job, self.known[job.id], self.holds(job)

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

    def set(self, job_id: str, **values: Any) -> None:
        statement = sa.update(tables.jobs).where(tables.jobs.c.id == job_id).values(**values)
        self.write(lambda tx: tx.execute(statement))

    def end(self, known: Known, status: JobStatus) -> None:
        known.status = status
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
        assert {att["id"]: att["state"] for att in ledger} == known.ledger
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
            stateful_step_count=40,
            deadline=None,
            database=None,
            phases=(Phase.generate,),  # shrinking takes minutes; the steps are printed anyway
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
