"""The moves of jobs between statuses: each a guarded UPDATE with its event.

Every function takes an open transaction. A move that matches no row raises `StaleJob`: another
process was first. Claims are in claims.py, attempts in attempts.py.
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

from safelight.db.json_rows import JsonRows
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
from safelight.json_object import JsonObject
from safelight.providers.errors import UnknownOutcome

_AN_OPEN_ATTEMPT = sa.exists().where(attempts.c.job_id == jobs.c.id, OPEN).correlate(jobs)
# Moves that end a job whose attempt may be open: the janitor then resolves it at the provider.
_LEAVING_OPEN = frozenset({Move.CANCEL, Move.FAIL, Move.BURY})


def lock_claimed(tx: Connection, claim: Claim) -> Job:
    """Lock and return the claimed job; raise `StaleJob` if the claim is void."""
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
    """Parks a job with its provider until the next check; due at once if a callback came."""

    claim: Claim
    check_after: timedelta
    wakes: int  # its value when the job was claimed
    stage: str
    progress: float
    answered: bool = False  # the provider responded, so our credentials are valid


def park_all(tx: Connection, parkings: Sequence[Parking]) -> list[Job | Exception]:
    """Park jobs; returns `StaleJob` for each whose claim is void.

    Silent if only the time of the next check changes.
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


_PARKED = JsonRows(
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
        "crashes": 0,  # they count consecutively, and this worker is alive
    }
    return move_statement(Move.PARK, _claimed_by(rows), JobStatus.WAITING, changes, silent=silent)


@dataclass(frozen=True, slots=True)
class Finish:
    """A job whose result is stored, with its open attempt and cost."""

    job_id: str
    attempt_id: str
    cost_micros: int | None


def succeed_all(tx: Connection, ended: Sequence[Finish]) -> list[Job | Exception]:
    """Finish jobs; the caller closes their attempts and inserts outputs in the same transaction.

    The open attempt is the fence: a worker that lost its lease can still deliver a result, also
    to a job that failed only because its outcome was unknown. Returns `StaleJob` for each whose
    attempt is closed or whose job is final otherwise.
    """
    given = _FINISHED.bind(
        tx,
        ({"id": one.job_id, "attempt": one.attempt_id, "cost": one.cost_micros} for one in ended),
    )
    costs.lock(tx, [one.job_id for one in ended])
    moved = _move(tx, Move.SUCCEED, _succeed_statement(tx.dialect.name), given)
    return _in_order(moved, [one.job_id for one in ended])


_FINISHED = JsonRows(id=sa.Text, attempt=sa.Text, cost=sa.BigInteger)


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
    is_awaited = sa.or_(
        jobs.c.status != JobStatus.FAILED, jobs.c.error["code"].as_string() == UnknownOutcome.code
    )
    match = (jobs.c.id == rows.c.id, is_open, is_awaited)
    return move_statement(Move.SUCCEED, match, JobStatus.SUCCEEDED, changes)


def retry(
    tx: Connection,
    claim: Claim,
    *,
    at: datetime,
    error: Mapping[str, Any],
    end_with: Mapping[str, Any] | None = None,
) -> Job:
    """Requeue the job for `at`; the caller closes the failed attempt.

    With `end_with`, the job times out at `at` and fails with this error.
    """
    changes: dict[str, Any] = {"run_at": at, "ready": False, "error": end_with}
    changes |= {"stage": "waiting to try again", "progress": 0.0, "crashes": 0}
    return _move_one(tx, Move.RETRY, claim, JobStatus.QUEUED, changes, error=error)


def fall_back(tx: Connection, claim: Claim, *, error: Mapping[str, Any]) -> Job:
    """Requeue the job for its fallback model; the caller closes the failed attempt."""
    row = tx.execute(sa.select(*_NOW_AND_JOB).where(jobs.c.id == claim.job_id)).mappings().one()
    changes = _instead(row) | {"progress": 0.0, "stage": "falling back"}
    changes |= {"run_at": now(), "ready": True}
    return _move_one(tx, Move.RETRY, claim, JobStatus.QUEUED, changes, error=error)


def reroute(tx: Connection, provider: str, *, limit: int) -> list[Job]:
    """Switch due jobs of `provider` to their fallback models. Not a move: they stay queued.

    Jobs due later, by `start_at` or for a retry, are kept: the provider may have recovered by then.
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
    """Fail queued jobs that timed out, each with the error it waited on.

    Claims skip such jobs while their provider's breaker is shut.
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
    """Return a job's changes for its fallback model, with a fresh time limit.

    The first plan is kept, for a redrive.
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
    """Requeue the job for `until`; nothing was sent and no attempt is used.

    With `end_with`, the job times out at `until` and fails with this error.
    """
    changes = {"run_at": until, "ready": False, "stage": reason, "error": end_with, "crashes": 0}
    return _move_one(tx, Move.SNOOZE, claim, JobStatus.QUEUED, changes)


def fail(tx: Connection, claim: Claim, *, error: Mapping[str, Any]) -> Job:
    """Fail the job: it is a dead letter until it is redriven."""
    changes = {"error": dict(error), "stage": None}
    return _move_one(tx, Move.FAIL, claim, JobStatus.FAILED, changes, error=error)


def release(tx: Connection, claims: Iterable[Claim]) -> list[Job]:
    """Hand jobs back at shutdown: to `waiting` if an attempt is open, else to the queue."""
    released: list[Job] = []
    for claim in claims:
        match = (jobs.c.id == claim.job_id, jobs.c.fence == claim.fence)
        released += _hand_back(tx, Move.RELEASE, match, {})
    return released


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a running job: percent and stage."""

    claim: Claim
    percent: float
    stage: str
    preview: str = ""  # a picture of unfinished work as a `data:` URI; only in the event


def progress_all(tx: Connection, reports: Sequence[Progress]) -> list[Job | Exception]:
    """Record the progress of jobs. Not a move: the status stays `running`."""
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


_REPORTED = JsonRows(id=sa.Text, fence=sa.BigInteger, percent=sa.Float, stage=sa.Text)


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
    """Return running jobs whose lease has expired."""
    query = (
        sa.select(jobs)
        .where(LEASED, jobs.c.leased_until < now())
        .order_by(jobs.c.leased_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [to_job(row) for row in tx.execute(query).mappings()]


def rescue(tx: Connection, found: Iterable[Job]) -> list[Job]:
    """Take jobs back from dead workers; the caller has settled attempts without a ticket."""
    rescued: list[Job] = []
    for job in found:
        match = (jobs.c.id == job.id, jobs.c.fence == job.fence)
        pause = after_crash(job.crashes + 1, jitter=random.random())  # noqa: S311  jitter
        changes = {"crashes": jobs.c.crashes + 1}
        rescued += _hand_back(tx, Move.RESCUE, match, changes, pause)
    return rescued


def bury(tx: Connection, job: Job, *, error: Mapping[str, Any]) -> Job:
    """Fail a job that crashed its worker too often."""
    changes = {"error": dict(error), "stage": None, "crashes": jobs.c.crashes + 1}
    claim = Claim(job.id, job.fence)
    return _move_one(tx, Move.BURY, claim, JobStatus.FAILED, changes, error=error)


def expire(tx: Connection, *, error: Mapping[str, Any], limit: int) -> list[Job]:
    """Fail queued jobs whose `start_by` has passed; jobs that wait for a retry have started."""
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
    """Cancel the job unless it has ended. Its worker notices at its next lease renewal."""
    match = (jobs.c.id == job_id,)
    statement = move_statement(Move.CANCEL, match, JobStatus.CANCELED, {"stage": None})
    return _only(_move(tx, Move.CANCEL, statement), job_id)


def redrive(tx: Connection, job_id: str) -> Job:
    """Requeue a failed or canceled job as submitted: with its first model and all tries."""
    plan: JsonObject | None = tx.scalar(sa.select(jobs.c.first_plan).where(jobs.c.id == job_id))
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
    """Return a move's UPDATE, guarded by its source statuses; ValueError for other targets."""
    sources, targets = MOVES[move]
    if target not in targets:
        raise ValueError(f"{move} does not lead to {target}")
    if target is JobStatus.QUEUED:
        match = (*match, ~_AN_OPEN_ATTEMPT)  # otherwise it would be started twice
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
    """Move the matching jobs, and append their events in the same transaction."""
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
    """Move to `waiting` if an attempt is open, else to `queued`; due after `pause`."""
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
