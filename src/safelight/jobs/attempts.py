"""The ledger of attempts: what was sent to whom, and what became of it.

Writes match the attempt's id and state, never the lease: what is known of money survives a lost
race for the job.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight import ids
from safelight.db.tables import attempts, jobs
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
    """Store the provider's handle the moment it is known; False if the attempt was closed before."""
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
    """Settle an attempt for good; False if it was closed before."""
    statement = (
        sa.update(attempts)
        .where(attempts.c.id == attempt_id, attempts.c.state != AttemptState.CLOSED)
        .values(
            state=AttemptState.CLOSED,
            outcome=outcome,
            error=None if error is None else dict(error),
            cost_micros=cost_micros,
            closed_at=now(),
        )
    )
    return bool(tx.execute(statement).rowcount)


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
            tx.execute(
                sa.update(attempts).where(*untied).values(state=AttemptState.UNKNOWN)
            )
            continue
        lost = tx.execute(
            sa.update(attempts)
            .where(*untied)
            .values(state=AttemptState.CLOSED, outcome=Outcome.LOST, closed_at=now())
        )
        if lost.rowcount:
            tx.execute(
                sa.update(jobs).where(jobs.c.id == job.id).values(attempts=jobs.c.attempts - 1)
            )


def leftovers(tx: Connection, *, limit: int) -> Sequence[tuple[Attempt, bool]]:
    """Return open attempts of jobs that are final, each with whether its work is repeatable."""
    query = (
        sa.select(attempts, jobs.c.repeatable)
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .where(attempts.c.state != AttemptState.CLOSED, jobs.c.status.in_(FINAL))
        .limit(limit)
    )
    found: list[tuple[Attempt, bool]] = []
    for row in tx.execute(query).mappings():
        fields = dict(row)
        repeatable = fields.pop("repeatable")
        found.append((_to_attempt(fields), repeatable))
    return found


def of_job(tx: Connection, job_id: str) -> list[Attempt]:
    """Return all attempts of a job, first to last."""
    query = sa.select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.number)
    return [_to_attempt(row) for row in tx.execute(query).mappings()]


def _to_attempt(row: Mapping[str, Any]) -> Attempt:
    return Attempt(
        **{
            **row,
            "state": AttemptState(row["state"]),
            "outcome": Outcome(row["outcome"]) if row["outcome"] else None,
        }
    )
