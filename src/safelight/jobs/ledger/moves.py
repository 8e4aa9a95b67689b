"""The moves of jobs from one status to another: each one guarded UPDATE, with its event.

Every function takes an open transaction. A move that finds no row to change raises `StaleJob`:
somebody else was first. Claims are in claims.py, attempts in attempts.py.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    OPEN,
    TO_START_BY,
    attempts,
    batches,
    jobs,
)
from safelight.db.types import in_seconds, now
from safelight.jobs.job import (
    EVENT_OF,
    FINAL,
    MOVES,
    Claim,
    Job,
    JobStatus,
    Move,
    StaleJob,
)
from safelight.jobs.ledger import attempts as open_attempts
from safelight.jobs.ledger import costs, job_events
from safelight.jobs.ledger.rows import to_job
from safelight.jobs.retry import after_crash

_AN_OPEN_ATTEMPT = sa.exists().where(attempts.c.job_id == jobs.c.id, OPEN).correlate(jobs)
# They end a job whose attempt may still be open: the janitor goes on with it at the provider.
_LEAVING_OPEN = frozenset({Move.CANCEL, Move.FAIL, Move.BURY})


def lock_claimed(tx: Connection, claim: Claim) -> Job:
    """Return the claimed job as it is now, locked; raise `StaleJob` if the claim is void."""
    query = (
        sa.select(jobs)
        .where(
            jobs.c.id == claim.job_id,
            jobs.c.fence == claim.fence,
            jobs.c.status == JobStatus.RUNNING,
        )
        .with_for_update()
    )
    return _only([to_job(row) for row in tx.execute(query).mappings()], claim.job_id)


@dataclass(frozen=True, slots=True)
class Parking:
    """Leave a job with its provider for so long, or not at all if a callback came meanwhile."""

    claim: Claim
    check_after: timedelta
    wakes: int  # as they were when the job was claimed
    stage: str
    progress: float
    answered: bool = False  # the provider has told: its credentials are good


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
    heard = [parking for parking in parkings if parking.claim.job_id not in same]
    moved = _park(tx, quiet, silent=True) + _park(tx, heard, silent=False)
    return _in_order(moved, [parking.claim.job_id for parking in parkings])


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
                "fence": parking.claim.fence,
                "check_after_s": parking.check_after.total_seconds(),
                "wakes": parking.wakes,
                "stage": parking.stage,
                "progress": parking.progress,
            }
            for parking in parkings
        ),
    )
    return _move(
        tx, Move.PARK, _park_statement(tx.dialect.name, silent=silent), given, silent=silent
    )


_PARKED = Given(
    id=sa.Text,
    fence=sa.BigInteger,
    check_after_s=sa.Float,
    wakes=sa.Integer,
    stage=sa.Text,
    progress=sa.Float,
)


@cache
def _park_statement(dialect: str, *, silent: bool) -> ReturningUpdate[Any]:
    rows = _PARKED.table(dialect)
    woken = jobs.c.wakes != rows.c.wakes
    changes = {
        "run_at": sa.case((woken, now()), else_=in_seconds(rows.c.check_after_s)),
        "stage": rows.c.stage,
        "progress": rows.c.progress,
        "crashes": 0,  # they count in a row, and this worker lives
    }
    return move_statement(Move.PARK, _claimed_by(rows), JobStatus.WAITING, changes, silent=silent)


@dataclass(frozen=True, slots=True)
class Finish:
    """A job whose result is stored, the open attempt that made it, and what that cost."""

    job_id: str
    attempt_id: str
    cost_micros: int | None


def succeed_all(tx: Connection, ended: Sequence[Finish]) -> list[Job | Exception]:
    """Finish jobs; their attempts are closed and their outputs inserted in the same transaction.

    The open attempt is the fence: a result is taken from a worker that lost its lease as well.
    `StaleJob` stands for each whose attempt is closed, or whose job is final.
    """
    given = _FINISHED.bind(
        tx,
        ({"id": one.job_id, "attempt": one.attempt_id, "cost": one.cost_micros} for one in ended),
    )
    costs.lock(tx, [one.job_id for one in ended])
    moved = _move(tx, Move.SUCCEED, _succeed_statement(tx.dialect.name), given)
    return _in_order(moved, [one.job_id for one in ended])


_FINISHED = Given(id=sa.Text, attempt=sa.Text, cost=sa.BigInteger)


@cache
def _succeed_statement(dialect: str) -> ReturningUpdate[Any]:
    rows = _FINISHED.table(dialect)
    is_open = (
        sa.exists()
        .where(attempts.c.id == rows.c.attempt, attempts.c.job_id == jobs.c.id, OPEN)
        .correlate(rows, jobs)
    )
    changes = {
        "progress": 100.0,
        "stage": None,
        "error": None,
        **costs.of_attempts(rows.c.attempt, rows.c.cost),
    }
    match = (jobs.c.id == rows.c.id, is_open)
    return move_statement(Move.SUCCEED, match, JobStatus.SUCCEEDED, changes)


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
    changes |= {"stage": "waiting to try again", "progress": 0.0, "crashes": 0}
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
        statement = move_statement(
            Move.EXPIRE, (jobs.c.id == job_id,), JobStatus.FAILED, {"stage": None}
        )
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
    changes = {"run_at": until, "ready": False, "stage": reason, "error": end_with, "crashes": 0}
    return _move_one(tx, Move.SNOOZE, claim, JobStatus.QUEUED, changes)


def fail(tx: Connection, claim: Claim, *, error: Mapping[str, Any]) -> Job:
    """End the job as failed: a dead letter, until someone redrives it."""
    changes = {"error": dict(error), "stage": None}
    return _move_one(tx, Move.FAIL, claim, JobStatus.FAILED, changes, error=error)


def release(tx: Connection, claims: Iterable[Claim]) -> list[Job]:
    """Hand jobs back at stop: to `waiting` where an attempt is open, else to the queue."""
    released: list[Job] = []
    for claim in claims:
        match = (jobs.c.id == claim.job_id, jobs.c.fence == claim.fence)
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
                "fence": report.claim.fence,
                "percent": report.percent,
                "stage": report.stage,
            }
            for report in reports
        ),
    )
    found = [
        to_job(row) for row in tx.execute(_report_statement(tx.dialect.name), given).mappings()
    ]
    previews = {report.claim.job_id: report.preview for report in reports}
    job_events.tell(tx, found, "job.progress", previews=previews)
    return _in_order(found, [report.claim.job_id for report in reports])


_REPORTED = Given(id=sa.Text, fence=sa.BigInteger, percent=sa.Float, stage=sa.Text)


@cache
def _report_statement(dialect: str) -> ReturningUpdate[Any]:
    rows = _REPORTED.table(dialect)
    return (
        sa.update(jobs)
        .where(*_claimed_by(rows), jobs.c.status == JobStatus.RUNNING)
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
    """Take jobs back from dead workers. Attempts without a ticket were settled by the caller."""
    rescued: list[Job] = []
    for job in found:
        match = (jobs.c.id == job.id, jobs.c.fence == job.fence)
        pause = after_crash(job.crashes + 1, jitter=random.random())  # noqa: S311  spreads
        changes = {"crashes": jobs.c.crashes + 1}
        rescued += _hand_back(tx, Move.RESCUE, match, changes, pause)
    return rescued


def bury(tx: Connection, job: Job, *, error: Mapping[str, Any]) -> Job:
    """Fail a job that killed its worker too often."""
    changes = {"error": dict(error), "stage": None, "crashes": jobs.c.crashes + 1}
    claim = Claim(job.id, job.fence)
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
        tx, Move.EXPIRE, move_statement(Move.EXPIRE, match, JobStatus.FAILED, changes), error=error
    )


def cancel(tx: Connection, job_id: str) -> Job:
    """End the job unless it has ended. A worker that holds it notices at its next renewal."""
    match = (jobs.c.id == job_id,)
    statement = move_statement(Move.CANCEL, match, JobStatus.CANCELED, {"stage": None})
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
    statement = move_statement(Move.REDRIVE, match, JobStatus.QUEUED, changes)
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
    match = (jobs.c.id == claim.job_id, jobs.c.fence == claim.fence)
    return _only(
        _move(tx, move, move_statement(move, match, target, changes), error=error), claim.job_id
    )


def move_statement(
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
    if target is JobStatus.QUEUED:
        match = (*match, ~_AN_OPEN_ATTEMPT)  # it would be started a second time
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
    if moved and (move in _LEAVING_OPEN or move is Move.EXPIRE):
        spent = costs.write(tx, [job.id for job in moved])
        moved = [
            replace(job, cost_micros=spent[job.id][0], cost_known_micros=spent[job.id][1])
            for job in moved
        ]
    if not silent:
        job_events.tell(tx, moved, EVENT_OF[move], error=error)
    job_events.count(move, moved)
    if move in _LEAVING_OPEN:
        open_attempts.hand_over(tx, [job.id for job in moved])
    job_events.finish_batches(tx, {job.batch_id for job in moved if job.batch_id and job.is_final})
    return moved


def _hand_back(
    tx: Connection,
    move: Move,
    match: tuple[ColumnElement[bool], ...],
    changes: Mapping[str, Any],
    pause: timedelta = timedelta(),
) -> list[Job]:
    """Move to `waiting` where an attempt is open, to `queued` where none is; due after `pause`."""
    due = {"run_at": now(pause), "stage": "its worker is gone; asking the provider", **changes}
    to_waiting = move_statement(move, (*match, _AN_OPEN_ATTEMPT), JobStatus.WAITING, due)
    back = {**due, "ready": not pause, "stage": "queued", "progress": 0.0}
    to_queued = move_statement(move, match, JobStatus.QUEUED, back)
    return _move(tx, move, to_waiting) or _move(tx, move, to_queued)


def _claimed_by(rows: CTE) -> tuple[ColumnElement[bool], ...]:
    return (jobs.c.id == rows.c.id, jobs.c.fence == rows.c.fence)


def _in_order(found: Sequence[Job], job_ids: Iterable[str]) -> list[Job | Exception]:
    by_id = {job.id: job for job in found}
    return [by_id.get(job_id) or StaleJob(job_id) for job_id in job_ids]


def _only(found: Sequence[Job], job_id: str) -> Job:
    if not found:
        raise StaleJob(job_id)
    return found[0]
