"""The moves of jobs from one status to another: each one guarded UPDATE, with its event.

Every function takes an open transaction. A move that finds no row to change raises `StaleJob`:
somebody else was first. Claims are in claims.py, attempts in attempts.py.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CTE, ColumnElement, Connection, RowMapping
from sqlalchemy.sql.dml import ReturningUpdate

from safelight.db.given import Given
from safelight.db.tables import (
    BOUND_TO_FAIL,
    LEASED,
    MOVABLE,
    TO_START_BY,
    attempts,
    batches,
    jobs,
)
from safelight.db.types import Instant, now
from safelight.jobs import news
from safelight.jobs.job import (
    EVENT_OF,
    FINAL,
    MOVES,
    AttemptState,
    Claim,
    Job,
    JobStatus,
    Move,
    StaleJob,
)
from safelight.jobs.retry import after_crash
from safelight.jobs.rows import to_job


def held(tx: Connection, claim: Claim) -> Job:
    """Return the claimed job as it is now, locked; raise `StaleJob` if the claim is void."""
    query = (
        sa.select(jobs)
        .where(
            jobs.c.id == claim.job_id,
            jobs.c.claim_no == claim.claim_no,
            jobs.c.status == JobStatus.RUNNING,
        )
        .with_for_update()
    )
    return _only([to_job(row) for row in tx.execute(query).mappings()], claim.job_id)


@dataclass(frozen=True, slots=True)
class Parking:
    """Leave a job with its provider until `check_at`, or at once if a callback came meanwhile."""

    claim: Claim
    check_at: datetime
    wakes: int  # as they were when the job was claimed
    stage: str
    progress: float


def park_all(tx: Connection, parkings: Sequence[Parking]) -> list[Job | Exception]:
    """Park several jobs; `StaleJob` stands for each whose claim is void.

    Silent where only the next check is set: a poll that learned nothing is no news.
    """
    wanted = {parking.claim.job_id: parking for parking in parkings}
    before = tx.execute(
        sa.select(jobs.c.id, jobs.c.stage, jobs.c.progress).where(jobs.c.id.in_(wanted))
    )
    same = {
        row.id
        for row in before
        if (row.stage, row.progress) == (wanted[row.id].stage, wanted[row.id].progress)
    }
    quiet = [parking for parking in parkings if parking.claim.job_id in same]
    news = [parking for parking in parkings if parking.claim.job_id not in same]
    moved = _park(tx, quiet, silent=True) + _park(tx, news, silent=False)
    return _in_order(moved, [parking.claim for parking in parkings])


def park(tx: Connection, parking: Parking) -> Job:
    """Park one job; raise `StaleJob` if the claim is void."""
    found = park_all(tx, [parking])[0]
    if isinstance(found, Exception):
        raise found
    return found


def _park(tx: Connection, parkings: Sequence[Parking], *, silent: bool) -> list[Job]:
    if not parkings:
        return []
    given = _PARKED.bind(
        tx,
        (
            {
                "id": parking.claim.job_id,
                "claim_no": parking.claim.claim_no,
                "check_at": parking.check_at,
                "wakes": parking.wakes,
                "stage": parking.stage,
                "progress": parking.progress,
            }
            for parking in parkings
        ),
    )
    return _move(tx, Move.PARK, _parking(tx.dialect.name, silent=silent), given, silent=silent)


_PARKED = Given(
    id=sa.Text,
    claim_no=sa.Integer,
    check_at=Instant,
    wakes=sa.Integer,
    stage=sa.Text,
    progress=sa.Float,
)


@cache
def _parking(dialect: str, *, silent: bool) -> ReturningUpdate[Any]:
    rows = _PARKED.table(dialect)
    woken = jobs.c.wakes != rows.c.wakes
    changes = {
        "run_at": sa.case((woken, now()), else_=rows.c.check_at),
        "stage": rows.c.stage,
        "progress": rows.c.progress,
    }
    return _moving(Move.PARK, _held_by(rows), JobStatus.WAITING, changes, silent=silent)


def succeed_all(tx: Connection, ended: Sequence[tuple[Claim, int | None]]) -> list[Job | Exception]:
    """Finish jobs, each with its cost; their outputs are inserted in the same transaction.

    `StaleJob` stands for each whose claim is void.
    """
    given = _ENDED.bind(
        tx,
        ({"id": claim.job_id, "claim_no": claim.claim_no, "cost": cost} for claim, cost in ended),
    )
    moved = _move(tx, Move.SUCCEED, _succeeding(tx.dialect.name), given)
    return _in_order(moved, [claim for claim, _ in ended])


_ENDED = Given(id=sa.Text, claim_no=sa.Integer, cost=sa.BigInteger)


@cache
def _succeeding(dialect: str) -> ReturningUpdate[Any]:
    rows = _ENDED.table(dialect)
    changes = {"progress": 100.0, "stage": None, "error": None, "cost_micros": rows.c.cost}
    return _moving(Move.SUCCEED, _held_by(rows), JobStatus.SUCCEEDED, changes)


def retry(
    tx: Connection,
    claim: Claim,
    *,
    at: datetime,
    error: Mapping[str, Any],
    end_with: Mapping[str, Any] | None = None,
) -> Job:
    """Queue the job again for `at`; the failed attempt is closed by the caller.

    Where its time is up at `at`, it will fail with `end_with`.
    """
    changes: dict[str, Any] = {"run_at": at, "ready": False, "error": end_with}
    changes |= {"stage": "waiting to try again", "progress": 0.0}
    return _move_one(tx, Move.RETRY, claim, JobStatus.QUEUED, changes, error=error)


def fall_back(tx: Connection, claim: Claim, *, error: Mapping[str, Any]) -> Job:
    """Queue the job for its next model; the failed attempt is closed by the caller."""
    row = tx.execute(sa.select(*_NOW_AND_JOB).where(jobs.c.id == claim.job_id)).mappings().one()
    changes = _instead(row) | {"progress": 0.0, "stage": "falling back"}
    changes |= {"run_at": now(), "ready": True}
    return _move_one(tx, Move.RETRY, claim, JobStatus.QUEUED, changes, error=error)


def reroute(tx: Connection, provider: str, *, limit: int) -> list[Job]:
    """Give jobs that wait for `provider` now to their next model. Not a move: they stay queued.

    Those whose time has not come, by `start_at` or for another try, may find it well by then.
    """
    query = (
        sa.select(*_NOW_AND_JOB)
        .where(MOVABLE, jobs.c.provider == provider, jobs.c.run_at <= now())
        .order_by(jobs.c.run_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    moved: list[Job] = []
    for row in tx.execute(query).mappings().all():
        statement = sa.update(jobs).where(jobs.c.id == row["id"]).values(_instead(row))
        moved.append(to_job(tx.execute(statement.returning(jobs)).mappings().one()))
    return moved


def end_waits(tx: Connection, *, limit: int) -> list[Job]:
    """Fail jobs that waited to the end of their time, each with what it waited for.

    Claims pass by those of a provider that is shut.
    """
    query = (
        sa.select(jobs.c.id, jobs.c.error)
        .where(BOUND_TO_FAIL, jobs.c.run_at <= now())
        .order_by(jobs.c.run_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ended: list[Job] = []
    for job_id, error in tx.execute(query).all():
        statement = _moving(Move.EXPIRE, (jobs.c.id == job_id,), JobStatus.FAILED, {"stage": None})
        ended += _move(tx, Move.EXPIRE, statement, error=error)
    return ended


_NOW_AND_JOB = (now().label("now"), *jobs.c)


def _instead(row: RowMapping) -> dict[str, Any]:
    """Return what changes in a job that goes to its next model, with all its time before it.

    What it was to be at first is kept, for a redrive.
    """
    following, *rest = row["fallbacks"]
    started_at: datetime | None = row["started_at"]
    spent = (row["now"] - started_at).total_seconds() if started_at else 0.0
    return {
        **following,
        "timeout_s": max(spent, 0.0) + following["timeout_s"],
        "max_attempts": row["attempts"] + following["max_attempts"],
        "fallbacks": rest,
        "first_plan": row["first_plan"] or {name: row[name] for name in (*following, "fallbacks")},
        "error": None,
    }


def snooze(
    tx: Connection,
    claim: Claim,
    *,
    until: datetime,
    reason: str,
    end_with: Mapping[str, Any] | None = None,
) -> Job:
    """Put the job back until `until`; nothing was sent and no attempt is spent.

    Where its time is up at `until`, it will fail with `end_with`.
    """
    changes = {"run_at": until, "ready": False, "stage": reason, "error": end_with}
    return _move_one(tx, Move.SNOOZE, claim, JobStatus.QUEUED, changes)


def fail(tx: Connection, claim: Claim, *, error: Mapping[str, Any]) -> Job:
    """End the job as failed: a dead letter, until someone redrives it."""
    changes = {"error": dict(error), "stage": None}
    return _move_one(tx, Move.FAIL, claim, JobStatus.FAILED, changes, error=error)


def release(tx: Connection, claims: Iterable[Claim]) -> list[Job]:
    """Hand jobs back at stop: to `waiting` where an attempt is open, else to the queue."""
    released: list[Job] = []
    for claim in claims:
        match = (jobs.c.id == claim.job_id, jobs.c.claim_no == claim.claim_no)
        released += _hand_back(tx, Move.RELEASE, match, {})
    return released


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running job is: percent, and in a few words."""

    claim: Claim
    percent: float
    stage: str
    preview: str = ""  # a small picture of what there is so far, as a `data:` URI; only told


def progress_all(tx: Connection, reports: Sequence[Progress]) -> list[Job | Exception]:
    """Record how far jobs are. Not a move: the status stays `running`."""
    given = _REPORTED.bind(
        tx,
        (
            {
                "id": report.claim.job_id,
                "claim_no": report.claim.claim_no,
                "percent": report.percent,
                "stage": report.stage,
            }
            for report in reports
        ),
    )
    found = [to_job(row) for row in tx.execute(_reporting(tx.dialect.name), given).mappings()]
    previews = {report.claim.job_id: report.preview for report in reports}
    news.tell(tx, found, "job.progress", previews=previews)
    return _in_order(found, [report.claim for report in reports])


_REPORTED = Given(id=sa.Text, claim_no=sa.Integer, percent=sa.Float, stage=sa.Text)


@cache
def _reporting(dialect: str) -> ReturningUpdate[Any]:
    rows = _REPORTED.table(dialect)
    return (
        sa.update(jobs)
        .where(*_held_by(rows), jobs.c.status == JobStatus.RUNNING)
        .values(progress=rows.c.percent, stage=rows.c.stage, seq=jobs.c.seq + 1)
        .returning(jobs)
    )


def expired_leases(tx: Connection, *, limit: int) -> list[Job]:
    """Return running jobs whose worker has been silent for longer than its lease."""
    query = (
        sa.select(jobs)
        .where(LEASED, jobs.c.leased_until < now())
        .order_by(jobs.c.leased_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [to_job(row) for row in tx.execute(query).mappings()]


def rescue(tx: Connection, found: Iterable[Job]) -> list[Job]:
    """Take jobs back from dead workers. Open attempts were settled by the caller."""
    rescued: list[Job] = []
    for job in found:
        match = (jobs.c.id == job.id, jobs.c.claim_no == job.claim_no)
        pause = after_crash(job.crashes + 1, jitter=random.random())  # noqa: S311  spreads
        changes = {"crashes": jobs.c.crashes + 1}
        rescued += _hand_back(tx, Move.RESCUE, match, changes, pause)
    return rescued


def bury(tx: Connection, job: Job, *, error: Mapping[str, Any]) -> Job:
    """Fail a job that killed its worker too often."""
    changes = {"error": dict(error), "stage": None, "crashes": jobs.c.crashes + 1}
    claim = Claim(job.id, job.claim_no)
    return _move_one(tx, Move.BURY, claim, JobStatus.FAILED, changes, error=error)


def expire(tx: Connection, *, error: Mapping[str, Any], limit: int) -> list[Job]:
    """Fail queued jobs whose `start_by` has passed; one that waits for another try did start."""
    late = (
        sa.select(jobs.c.id)
        .where(TO_START_BY, jobs.c.start_by < now(), jobs.c.started_at.is_(None))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = tx.scalars(late).all()
    if not found:
        return []
    changes = {"error": dict(error), "stage": None}
    match = (jobs.c.id.in_(found),)
    return _move(
        tx, Move.EXPIRE, _moving(Move.EXPIRE, match, JobStatus.FAILED, changes), error=error
    )


def cancel(tx: Connection, job_id: str) -> Job:
    """End the job unless it has ended. A worker that holds it notices at its next renewal."""
    match = (jobs.c.id == job_id,)
    statement = _moving(Move.CANCEL, match, JobStatus.CANCELED, {"stage": None})
    return _only(_move(tx, Move.CANCEL, statement), job_id)


def redrive(tx: Connection, job_id: str) -> Job:
    """Queue a failed or canceled job anew, as it was submitted: its first model, and all tries."""
    plan: dict[str, Any] | None = tx.scalar(sa.select(jobs.c.first_plan).where(jobs.c.id == job_id))
    changes = {
        **(plan or {}),
        "first_plan": None,
        "run_at": now(),
        "ready": True,
        "stage": "queued",
        "progress": 0.0,
        "error": None,
        "attempts": 0,
        "crashes": 0,
        "started_at": None,
        "start_by": None,
    }
    match = (jobs.c.id == job_id,)
    statement = _moving(Move.REDRIVE, match, JobStatus.QUEUED, changes)
    job = _only(_move(tx, Move.REDRIVE, statement), job_id)
    if job.batch_id:
        tx.execute(sa.update(batches).where(batches.c.id == job.batch_id).values(finished_at=None))
    return job


def _move_one(
    tx: Connection,
    move: Move,
    claim: Claim,
    target: JobStatus,
    changes: Mapping[str, Any],
    *,
    error: Mapping[str, Any] | None = None,
) -> Job:
    match = (jobs.c.id == claim.job_id, jobs.c.claim_no == claim.claim_no)
    return _only(_move(tx, move, _moving(move, match, target, changes), error=error), claim.job_id)


def _moving(
    move: Move,
    match: tuple[ColumnElement[bool], ...],
    target: JobStatus,
    changes: Mapping[str, Any],
    *,
    silent: bool = False,
) -> ReturningUpdate[Any]:
    """Return the statement of a move: guarded by where it may come from, and refused elsewhere."""
    sources, targets = MOVES[move]
    if target not in targets:
        raise ValueError(f"{move} does not lead to {target}")
    values: dict[str, Any] = {
        "status": target,
        "seq": jobs.c.seq + (0 if silent else 1),
        "ready": False,
        "leased_by": None,
        "leased_until": None,
        "finished_at": now() if target in FINAL else None,
        **changes,
    }
    return sa.update(jobs).where(jobs.c.status.in_(sources), *match).values(values).returning(jobs)


def _move(
    tx: Connection,
    move: Move,
    statement: ReturningUpdate[Any],
    given: Mapping[str, Any] | None = None,
    *,
    error: Mapping[str, Any] | None = None,
    silent: bool = False,
) -> list[Job]:
    """Move what the statement matches, and tell of it in the same transaction."""
    moved = [to_job(row) for row in tx.execute(statement, given).mappings()]
    if not silent:
        news.tell(tx, moved, EVENT_OF[move], error=error)
    news.count(move, moved)
    news.finish_batches(tx, {job.batch_id for job in moved if job.batch_id and job.is_final})
    return moved


def _hand_back(
    tx: Connection,
    move: Move,
    match: tuple[ColumnElement[bool], ...],
    changes: Mapping[str, Any],
    pause: timedelta = timedelta(),
) -> list[Job]:
    """Move to `waiting` where an attempt is open, to `queued` where none is; due after `pause`."""
    an_open_attempt = (
        sa.exists()
        .where(attempts.c.job_id == jobs.c.id, attempts.c.state != AttemptState.CLOSED)
        .correlate(jobs)
    )
    due = {"run_at": now(pause), **changes}
    to_waiting = _moving(move, (*match, an_open_attempt), JobStatus.WAITING, due)
    back = {**due, "ready": not pause, "stage": "queued", "progress": 0.0}
    to_queued = _moving(move, match, JobStatus.QUEUED, back)
    return _move(tx, move, to_waiting) or _move(tx, move, to_queued)


def _held_by(rows: CTE) -> tuple[ColumnElement[bool], ...]:
    return (jobs.c.id == rows.c.id, jobs.c.claim_no == rows.c.claim_no)


def _in_order(found: Sequence[Job], claims: Sequence[Claim]) -> list[Job | Exception]:
    by_id = {job.id: job for job in found}
    return [by_id.get(claim.job_id) or StaleJob(claim.job_id) for claim in claims]


def _only(found: Sequence[Job], job_id: str) -> Job:
    if not found:
        raise StaleJob(job_id)
    return found[0]
