"""The ledger of attempts: what was sent to whom, and what became of it.

Writes match the attempt's id and state, never the lease: what is known of money survives a lost
race for the job.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from safelight import ids
from safelight.db.tables import OPEN, attempts, jobs
from safelight.db.types import now
from safelight.jobs.job import FINAL, Attempt, AttemptState, Job, JobStatus, Outcome
from safelight.jobs.store import Claim


def current(tx: Connection, job_id: str) -> Attempt | None:
    """Return the attempt that is under way, if any. The database allows one."""
    query = sa.select(attempts).where(
        attempts.c.job_id == job_id, attempts.c.state != AttemptState.CLOSED
    )
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_attempt(row)


def send(tx: Connection, claim: Claim, provider: str) -> Attempt | None:
    """Write that the provider is about to be called; None if the job is no longer ours.

    From here on the attempt is open, whether or not the call is ever made: the row comes first.
    """
    counted = tx.execute(
        sa.update(jobs)
        .where(
            jobs.c.id == claim.job_id,
            jobs.c.claim_no == claim.claim_no,
            jobs.c.status == JobStatus.RUNNING,
        )
        .values(attempts=jobs.c.attempts + 1)
    )
    if not counted.rowcount:
        return None
    so_far = tx.scalar(
        sa.select(sa.func.max(attempts.c.number)).where(attempts.c.job_id == claim.job_id)
    )
    row = {
        "id": ids.new("attempt"),
        "job_id": claim.job_id,
        "number": (so_far or 0) + 1,
        "provider": provider,
        "state": AttemptState.SENT,
    }
    statement = (
        sa.insert(attempts).values(created_at=now(), sent_at=now(), **row).returning(attempts)
    )
    return _to_attempt(tx.execute(statement).mappings().one())


def keep_ticket(tx: Connection, attempt_id: str, ticket: str) -> bool:
    """Store the provider's handle the moment it is known; False if the attempt is closed."""
    statement = (
        sa.update(attempts)
        .where(attempts.c.id == attempt_id, attempts.c.state != AttemptState.CLOSED)
        .values(
            state=AttemptState.TICKETED,
            ticket=ticket,
            ticketed_at=sa.func.coalesce(attempts.c.ticketed_at, now()),
        )
    )
    return bool(tx.execute(statement).rowcount)


def close(
    tx: Connection,
    attempt_id: str,
    outcome: Outcome,
    *,
    error: Mapping[str, Any] | None = None,
    cost_micros: int | None = None,
) -> bool:
    """Settle an attempt for good; False if it was closed before, which keeps a cost it lacked."""
    statement = (
        sa.update(attempts)
        .where(attempts.c.id == attempt_id, attempts.c.state != AttemptState.CLOSED)
        .values(
            state=AttemptState.CLOSED,
            outcome=outcome,
            error=None if error is None else dict(error),
            closed_at=now(),
        )
    )
    closed = bool(tx.execute(statement).rowcount)
    if cost_micros is not None:
        keep_cost(tx, attempt_id, cost_micros)
    return closed


def keep_cost(tx: Connection, attempt_id: str, cost_micros: int) -> None:
    """Write what an attempt cost, whatever became of it meanwhile; the first word stands."""
    tx.execute(
        sa.update(attempts)
        .where(attempts.c.id == attempt_id, attempts.c.cost_micros.is_(None))
        .values(cost_micros=cost_micros)
    )


def uncount(tx: Connection, job_id: str) -> None:
    """Give a job back the try that its last attempt had cost."""
    tx.execute(
        sa.update(jobs)
        .where(jobs.c.id == job_id, jobs.c.attempts > 0)
        .values(attempts=jobs.c.attempts - 1)
    )


def let_go(tx: Connection, abandoned: Iterable[Job]) -> None:
    """Settle what their worker left of jobs that are about to be released or rescued.

    Without a ticket, an attempt at something repeatable is lost and costs no try; any other may
    have been paid for and becomes `unknown`. Ticketed ones stay open and are resumed.
    """
    for job in abandoned:
        untied = (
            attempts.c.job_id == job.id,
            attempts.c.state == AttemptState.SENT,
        )
        if not job.repeatable:
            tx.execute(sa.update(attempts).where(*untied).values(state=AttemptState.UNKNOWN))
            continue
        lost = tx.execute(
            sa.update(attempts)
            .where(*untied)
            .values(state=AttemptState.CLOSED, outcome=Outcome.LOST, closed_at=now())
        )
        if lost.rowcount:
            uncount(tx, job.id)


def leftovers(tx: Connection, *, after: str, limit: int) -> list[Attempt]:
    """Return open attempts of jobs that are final, by job from beyond the id `after`."""
    ended = sa.exists().where(jobs.c.id == attempts.c.job_id, jobs.c.status.in_(FINAL))
    query = (
        sa.select(attempts)
        .where(OPEN, attempts.c.job_id > after, ended)
        .order_by(attempts.c.job_id)
        .limit(limit)
    )
    return [_to_attempt(row) for row in tx.execute(query).mappings()]


def of_job(tx: Connection, job_id: str) -> list[Attempt]:
    """Return all attempts of a job, first to last."""
    query = sa.select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.number)
    return [_to_attempt(row) for row in tx.execute(query).mappings()]


def _to_attempt(row: RowMapping) -> Attempt:
    fields: dict[str, Any] = {**row}
    fields["state"] = AttemptState(row["state"])
    fields["outcome"] = Outcome(row["outcome"]) if row["outcome"] else None
    return Attempt(**fields)
