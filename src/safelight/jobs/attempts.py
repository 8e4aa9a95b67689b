"""The ledger of attempts: what was sent to whom, and what became of it.

Writes match the attempt's id and state, never the lease: what is known of money survives a lost
race for the job.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping, Update
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from safelight import ids
from safelight.db.given import Given
from safelight.db.tables import OPEN, attempts, jobs
from safelight.db.types import now
from safelight.jobs.job import (
    FINAL,
    Attempt,
    AttemptState,
    Claim,
    Job,
    JobStatus,
    Outcome,
    StaleJob,
)


def current(tx: Connection, job_id: str) -> Attempt | None:
    """Return the attempt that is under way, if any. The database allows one."""
    query = sa.select(attempts).where(
        attempts.c.job_id == job_id, attempts.c.state != AttemptState.CLOSED
    )
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else _to_attempt(row)


def send_all(tx: Connection, wanted: Sequence[tuple[Claim, str]]) -> list[Attempt | Exception]:
    """Write that providers are about to be called, each for a claimed job.

    From here on the attempts are open, whether or not the calls are ever made: the rows come
    first. `StaleJob` stands for each job that is no longer ours.
    """
    held = ({"id": claim.job_id, "claim_no": claim.claim_no} for claim, _ in wanted)
    counted = set(tx.scalars(_counting(tx.dialect.name), _HELD.bind(tx, held)))
    ours = [(claim, name) for claim, name in wanted if claim.job_id in counted]
    opened = _insert(tx, ours) if ours else {}
    return [opened.get(claim.job_id) or StaleJob(claim.job_id) for claim, _ in wanted]


def _insert(tx: Connection, wanted: Sequence[tuple[Claim, str]]) -> dict[str, Attempt]:
    new = (
        {"id": ids.new("attempt"), "job_id": claim.job_id, "provider": name}
        for claim, name in wanted
    )
    opened = tx.execute(_opening(tx.dialect.name), _OPENED.bind(tx, new)).mappings()
    return {row["job_id"]: _to_attempt(row) for row in opened}


def keep_tickets(tx: Connection, tickets: Sequence[tuple[str, str]]) -> list[bool]:
    """Store providers' handles, each for an attempt's id, the moment they are known.

    False stands for an attempt that is closed.
    """
    given = _TICKETS.bind(tx, ({"id": name, "ticket": ticket} for name, ticket in tickets))
    kept = set(tx.scalars(_ticketing(tx.dialect.name), given))
    return [name in kept for name, _ in tickets]


def succeed_all(tx: Connection, ended: Sequence[tuple[str, int | None]]) -> None:
    """Close attempts, named by their ids, whose results are stored; each with its cost."""
    given = _ENDED.bind(tx, ({"id": name, "cost": cost} for name, cost in ended))
    tx.execute(_succeeding(tx.dialect.name), given)


# --- the statements of every run, each built once for a dialect --------------------------------

_HELD = Given(id=sa.Text, claim_no=sa.Integer)
_OPENED = Given(id=sa.Text, job_id=sa.Text, provider=sa.Text)
_TICKETS = Given(id=sa.Text, ticket=sa.Text)
_ENDED = Given(id=sa.Text, cost=sa.BigInteger)


@cache
def _counting(dialect: str) -> ReturningUpdate[Any]:
    rows = _HELD.table(dialect)
    return (
        sa.update(jobs)
        .where(
            jobs.c.id == rows.c.id,
            jobs.c.claim_no == rows.c.claim_no,
            jobs.c.status == JobStatus.RUNNING,
        )
        .values(attempts=jobs.c.attempts + 1)
        .returning(jobs.c.id)
    )


@cache
def _opening(dialect: str) -> ReturningInsert[Any]:
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
        "created_at": now(),
        "sent_at": now(),
    }
    return (
        sa.insert(attempts)
        .from_select(list(columns), sa.select(*columns.values()))
        .returning(attempts)
    )


@cache
def _ticketing(dialect: str) -> ReturningUpdate[Any]:
    rows = _TICKETS.table(dialect)
    return (
        sa.update(attempts)
        .where(attempts.c.id == rows.c.id, attempts.c.state != AttemptState.CLOSED)
        .values(
            state=AttemptState.TICKETED,
            ticket=rows.c.ticket,
            ticketed_at=sa.func.coalesce(attempts.c.ticketed_at, now()),
        )
        .returning(attempts.c.id)
    )


@cache
def _succeeding(dialect: str) -> Update:
    rows = _ENDED.table(dialect)
    return (
        sa.update(attempts)
        .where(attempts.c.id == rows.c.id, attempts.c.state != AttemptState.CLOSED)
        .values(
            state=AttemptState.CLOSED,
            outcome=Outcome.SUCCEEDED,
            closed_at=now(),
            cost_micros=sa.func.coalesce(attempts.c.cost_micros, rows.c.cost),
        )
    )


# --- the others --------------------------------------------------------------------------------


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


def lose_sight(tx: Connection, attempt_id: str) -> None:
    """Say that the provider was called and that its answer was lost."""
    tx.execute(
        sa.update(attempts)
        .where(attempts.c.id == attempt_id, attempts.c.state == AttemptState.SENT)
        .values(state=AttemptState.UNKNOWN)
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
