"""Rows of callbacks: a provider's latest callback for an open attempt."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.tables import OPEN, attempts, callbacks, jobs
from safelight.db.types import now
from safelight.db.upsert import upsert
from safelight.jobs.job import AttemptState, JobStatus
from safelight.jobs.ledger.attempts import AT_ONCE


@dataclass(frozen=True, slots=True)
class Woken:
    """A job with a new callback, and its lane."""

    job_id: str
    batch_id: str | None
    lane: str


def find(tx: Connection, provider: str, attempt_id: str | None, ticket: str | None) -> str | None:
    """Return the id of the provider's open attempt, found by id or else by ticket."""
    named = attempts.c.id == attempt_id if attempt_id else attempts.c.ticket == ticket
    if not attempt_id and not ticket:
        return None
    query = sa.select(attempts.c.id).where(OPEN, attempts.c.provider == provider, named)
    return tx.scalars(query.limit(1)).one_or_none()


def keep(tx: Connection, attempt_id: str, body: bytes, ticket: str | None) -> None:
    """Store a verified callback, replacing an older one; adopt its ticket if it has one."""
    tx.execute(
        upsert(tx, callbacks)
        .values(attempt_id=attempt_id, body=body, received_at=now())
        .on_conflict_do_update(
            index_elements=[callbacks.c.attempt_id], set_={"body": body, "received_at": now()}
        )
    )
    if ticket:
        tx.execute(
            sa.update(attempts)
            .where(OPEN, attempts.c.id == attempt_id, attempts.c.ticket.is_(None))
            .values(state=AttemptState.TICKETED, ticket=ticket, ticketed_at=now(), look_at=AT_ONCE)
        )


def wake(tx: Connection, attempt_id: str) -> Woken | None:
    """Schedule a check of the attempt's job: now if it waits, else as soon as it is parked."""
    of_attempt = sa.select(attempts.c.job_id).where(attempts.c.id == attempt_id)
    statement = (
        sa.update(jobs)
        .where(
            jobs.c.id == of_attempt.scalar_subquery(),
            jobs.c.status.in_((JobStatus.WAITING, JobStatus.RUNNING)),
        )
        .values(
            wakes=jobs.c.wakes + 1,
            run_at=sa.case((jobs.c.status == JobStatus.WAITING, now()), else_=jobs.c.run_at),
        )
        .returning(jobs.c.id, jobs.c.batch_id, jobs.c.lane)
    )
    row = tx.execute(statement).one_or_none()
    return None if row is None else Woken(row.id, row.batch_id, row.lane)


def latest(tx: Connection, attempt_id: str) -> bytes | None:
    """Return the latest verified callback of an attempt, or None."""
    query = sa.select(callbacks.c.body).where(callbacks.c.attempt_id == attempt_id)
    return tx.scalars(query).one_or_none()
