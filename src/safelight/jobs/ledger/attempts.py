"""The ledger of attempts: what was sent to which provider, and the outcome.

Writes match the attempt's id and state, never the lease: facts about money survive a lost race for
the job. Only a `Ground` closes an attempt; see ADR 0002.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Update
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from safelight import ids
from safelight.db.decoder import Decoder
from safelight.db.json_rows import JsonRows
from safelight.db.tables import OPEN, RECONCILED, attempts, jobs
from safelight.db.types import clock, in_seconds, now
from safelight.jobs.job import (
    COSTS_NOTHING,
    WITHOUT_TICKET,
    Attempt,
    AttemptState,
    Claim,
    Ground,
    Job,
    JobStatus,
    Outcome,
    StaleJob,
)
from safelight.jobs.ledger import costs
from safelight.jobs.ledger.rows import to_job

_to_attempt = Decoder(
    Attempt,
    state=AttemptState,
    ground=Ground,
    outcome=lambda outcome: Outcome(outcome) if outcome else None,
)


def current(tx: Connection, job_id: str, *, lock: bool = False) -> Attempt | None:
    """Return the open attempt, or None. The database allows only one.

    With `lock` no ticket is stored until the transaction ends: for decisions that depend on it.
    """
    query = sa.select(attempts).where(
        attempts.c.job_id == job_id, attempts.c.state != AttemptState.CLOSED
    )
    if lock:
        query = query.with_for_update()
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_attempt(row)


def send_all(tx: Connection, wanted: Sequence[tuple[Claim, str]]) -> list[Attempt | Exception]:
    """Open an attempt for each claimed job, before its provider is called.

    From here on the attempts count as open, whether or not the calls are made. Returns `StaleJob`
    for each job whose claim is void.
    """
    held = ({"id": claim.job_id, "fence": claim.fence} for claim, _ in wanted)
    counted = tx.execute(_count_statement(tx.dialect.name), _CLAIMED.bind(tx, held))
    claims = {Claim(row.id, row.fence) for row in counted}
    ours = [(claim, name) for claim, name in wanted if claim in claims]
    opened = _insert(tx, ours) if ours else {}
    return [
        opened[claim.job_id] if claim in claims else StaleJob(claim.job_id) for claim, _ in wanted
    ]


def _insert(tx: Connection, wanted: Sequence[tuple[Claim, str]]) -> dict[str, Attempt]:
    new = (
        {"id": ids.new("attempt"), "job_id": claim.job_id, "provider": name}
        for claim, name in wanted
    )
    opened = tx.execute(_open_statement(tx.dialect.name), _OPENED.bind(tx, new)).mappings()
    return {row["job_id"]: _to_attempt(row) for row in opened}


def keep_tickets(tx: Connection, tickets: Sequence[tuple[str, str]]) -> list[bool]:
    """Store tickets for attempts, as soon as they are known.

    Returns False for each attempt that is closed.
    """
    given = _TICKETS.bind(tx, ({"id": name, "ticket": ticket} for name, ticket in tickets))
    kept = set(tx.scalars(_ticket_statement(tx.dialect.name), given))
    return [name in kept for name, _ in tickets]


def succeed_all(tx: Connection, ended: Sequence[tuple[str, int | None]]) -> None:
    """Close attempts as succeeded, by id, with their costs."""
    given = _ENDED.bind(tx, ({"id": name, "cost": cost} for name, cost in ended))
    tx.execute(_succeed_statement(tx.dialect.name), given)


# --- the statements of every run, built once per dialect ---------------------------------------

# A late ticket wakes the janitor if the job is final.
AT_ONCE = sa.case((attempts.c.look_at.is_not(None), now()), else_=attempts.c.look_at)

_CLAIMED = JsonRows(id=sa.Text, fence=sa.BigInteger)
_OPENED = JsonRows(id=sa.Text, job_id=sa.Text, provider=sa.Text)
_TICKETS = JsonRows(id=sa.Text, ticket=sa.Text)
_ENDED = JsonRows(id=sa.Text, cost=sa.BigInteger)


@cache
def _count_statement(dialect: str) -> ReturningUpdate[Any, Any]:
    rows = _CLAIMED.table(dialect)
    return (
        sa.update(jobs)
        .where(
            jobs.c.id == rows.c.id,
            jobs.c.fence == rows.c.fence,
            jobs.c.status == JobStatus.RUNNING,
        )
        .values(attempts=jobs.c.attempts + 1)
        .returning(jobs.c.id, jobs.c.fence)
    )


@cache
def _open_statement(dialect: str) -> ReturningInsert[Any]:
    new = _OPENED.table(dialect)
    so_far = (
        sa.select(sa.func.coalesce(sa.func.max(attempts.c.number), 0))
        .where(attempts.c.job_id == new.c.job_id)
        .correlate(new)
    )
    columns = {
        "id": new.c.id,
        "job_id": new.c.job_id,
        "number": so_far.scalar_subquery() + 1,
        "provider": new.c.provider,
        "state": sa.literal(AttemptState.SENT.value),
        "ground": sa.literal(Ground.NONE.value),
        "created_at": now(),
        "sent_at": now(),
    }
    return (
        sa.insert(attempts)
        .from_select(list(columns), sa.select(*columns.values()))
        .returning(attempts)
    )


@cache
def _ticket_statement(dialect: str) -> ReturningUpdate[Any]:
    rows = _TICKETS.table(dialect)
    return (
        sa.update(attempts)
        .where(attempts.c.id == rows.c.id, attempts.c.state != AttemptState.CLOSED)
        .values(
            state=AttemptState.TICKETED,
            ticket=rows.c.ticket,
            ticketed_at=sa.func.coalesce(attempts.c.ticketed_at, now()),
            look_at=AT_ONCE,
        )
        .returning(attempts.c.id)
    )


@cache
def _succeed_statement(dialect: str) -> Update:
    rows = _ENDED.table(dialect)
    return (
        sa.update(attempts)
        .where(attempts.c.id == rows.c.id, attempts.c.state != AttemptState.CLOSED)
        .values(
            state=AttemptState.CLOSED,
            ground=Ground.VERDICT,
            outcome=Outcome.SUCCEEDED,
            closed_at=now(),
            cost_micros=sa.func.coalesce(attempts.c.cost_micros, rows.c.cost),
        )
    )


# --- other writes ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Closing:
    """The outcome of an attempt, and the fact that closes it."""

    outcome: Outcome
    ground: Ground
    error: Mapping[str, Any] | None = None
    cost_micros: int | None = None

    @property
    def cost(self) -> int | None:
        """The cost; 0 if the ground implies that nothing was charged."""
        is_free = self.cost_micros is None and self.ground in COSTS_NOTHING
        return 0 if is_free else self.cost_micros


def close(tx: Connection, attempt_id: str, closing: Closing, *, ticket: str | None = None) -> bool:
    """Close an attempt; False if it was closed already, in which case only a known cost is added.

    With a `ticket`, only if the attempt still has that ticket. A ground that no ticket is known
    holds only as long as there is none: another transaction may have stored one.
    """
    costs.lock(tx, [_job_of(tx, attempt_id)])
    match = [attempts.c.id == attempt_id, attempts.c.state != AttemptState.CLOSED]
    if ticket is not None:
        match.append(attempts.c.ticket == ticket)
    elif closing.ground in WITHOUT_TICKET:
        match.append(attempts.c.ticket.is_(None))
    statement = (
        sa.update(attempts)
        .where(*match)
        .values(
            state=AttemptState.CLOSED,
            ground=closing.ground,
            outcome=closing.outcome,
            error=None if closing.error is None else dict(closing.error),
            closed_at=now(),
        )
    )
    closed = bool(tx.execute(statement).rowcount)
    cost = closing.cost if closed else closing.cost_micros
    if cost is not None:
        keep_cost(tx, attempt_id, cost)
    return closed


def keep_cost(tx: Connection, attempt_id: str, cost_micros: int) -> None:
    """Record an attempt's cost, in any state; the first value stands."""
    job_ids = [_job_of(tx, attempt_id)]
    costs.lock(tx, job_ids)
    tx.execute(
        sa.update(attempts)
        .where(attempts.c.id == attempt_id, attempts.c.cost_micros.is_(None))
        .values(cost_micros=cost_micros)
    )
    costs.write(tx, job_ids)


def _job_of(tx: Connection, attempt_id: str) -> str:
    return tx.scalars(sa.select(attempts.c.job_id).where(attempts.c.id == attempt_id)).one()


def lose_sight(tx: Connection, attempt_id: str) -> None:
    """Mark an attempt's response as lost."""
    tx.execute(
        sa.update(attempts)
        .where(attempts.c.id == attempt_id, attempts.c.state == AttemptState.SENT)
        .values(state=AttemptState.UNKNOWN, unknown_at=now())
    )


def uncount(tx: Connection, job_id: str) -> None:
    """Refund the try that a job's last attempt used."""
    tx.execute(
        sa.update(jobs)
        .where(jobs.c.id == job_id, jobs.c.attempts > 0)
        .values(attempts=jobs.c.attempts - 1)
    )


def let_go(tx: Connection, abandoned: Iterable[Job]) -> None:
    """Settle the unticketed attempts of jobs that are about to be released or rescued.

    A repeatable job's attempt is closed as lost and costs no try; any other may have been paid for
    and becomes `unknown`. Ticketed attempts stay open and are resumed.
    """
    for job in abandoned:
        attempt = current(tx, job.id, lock=True)
        if attempt is None or attempt.state is not AttemptState.SENT:
            continue
        if not job.repeatable:
            lose_sight(tx, attempt.id)
        elif close(tx, attempt.id, Closing(Outcome.LOST, Ground.REPEATABLE)):
            uncount(tx, job.id)


def open_of(tx: Connection, job_ids: Iterable[str]) -> set[str]:
    """Return which of the jobs have an open attempt."""
    return set(tx.scalars(sa.select(attempts.c.job_id).where(OPEN, attempts.c.job_id.in_(job_ids))))


# --- open attempts of final jobs, for the janitor ----------------------------------------------


def hand_over(tx: Connection, job_ids: Iterable[str]) -> None:
    """Hand the open attempts of these final jobs to the janitor."""
    tx.execute(
        sa.update(attempts).where(OPEN, attempts.c.job_id.in_(job_ids)).values(look_at=now())
    )


def leftovers(tx: Connection, *, limit: int) -> list[Attempt]:
    """Return open attempts of final jobs that are due for a lookup, the most overdue first."""
    query = (
        sa.select(attempts)
        .where(RECONCILED, attempts.c.look_at <= now())
        .order_by(attempts.c.look_at)
        .limit(limit)
    )
    return [_to_attempt(row) for row in tx.execute(query).mappings()]


def postpone(tx: Connection, attempt: Attempt, wait: timedelta, *, asked: bool) -> None:
    """Postpone the next lookup, unless another ticket came; `asked` counts a cancel request."""
    tx.execute(
        sa.update(attempts)
        .where(
            OPEN,
            attempts.c.id == attempt.id,
            sa.func.coalesce(attempts.c.ticket, "") == (attempt.ticket or ""),
        )
        .values(
            look_at=in_seconds(sa.literal(wait.total_seconds())),
            cancels=attempts.c.cancels + (1 if asked else 0),
        )
    )


def with_job(tx: Connection, attempt_id: str) -> tuple[Attempt, Job, datetime] | None:
    """Return an attempt with its job, and the database's time; None if it was deleted."""
    row = (
        tx.execute(sa.select(attempts).where(attempts.c.id == attempt_id)).mappings().one_or_none()
    )
    if row is None:
        return None
    job = tx.execute(sa.select(jobs).where(jobs.c.id == row["job_id"])).mappings().one()
    at = clock(tx)
    return _to_attempt(row), to_job(job), at


def has_ticket(tx: Connection, attempt: Attempt, ticket: str) -> bool:
    """Return whether a different attempt has the ticket, which then stands for other work."""
    query = sa.select(attempts.c.id).where(
        attempts.c.provider == attempt.provider,
        attempts.c.ticket == ticket,
        attempts.c.id != attempt.id,
    )
    return tx.scalar(query.limit(1)) is not None


def close_by_person(tx: Connection, job_ids: Sequence[str]) -> set[str]:
    """Close the open attempts of final jobs by a person's decision; return the jobs that must wait.

    Those have a ticket, and their provider was not asked to cancel yet.
    """
    query = sa.select(attempts).where(OPEN, attempts.c.job_id.in_(job_ids))
    unasked: set[str] = set()
    for attempt in [_to_attempt(row) for row in tx.execute(query).mappings()]:
        if attempt.ticket is not None and not attempt.cancels:
            unasked.add(attempt.job_id)
        else:
            close(tx, attempt.id, Closing(Outcome.LOST, Ground.PERSON))
    return unasked


def of_job(tx: Connection, job_id: str) -> list[Attempt]:
    """Return all attempts of a job, oldest first."""
    query = sa.select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.number)
    return [_to_attempt(row) for row in tx.execute(query).mappings()]
