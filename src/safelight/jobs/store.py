"""The rows of jobs: inserts, reads, removals. What changes a status is in moves.py."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeEngine

from safelight import telemetry
from safelight.db.given import Given
from safelight.db.tables import (
    READY,
    accounts,
    attempts,
    jobs,
)
from safelight.db.types import Instant, now
from safelight.jobs import news
from safelight.jobs.job import (
    FINAL,
    Job,
    JobStatus,
    Outcome,
)
from safelight.jobs.rows import to_job
from safelight.providers.provider import Kind

_NEW: dict[str, type[TypeEngine[Any]]] = {
    "id": sa.Text,
    "account_id": sa.Text,
    "kind": sa.Text,
    "prompt": sa.Text,
    "model": sa.Text,
    "provider": sa.Text,
    "params": sa.JSON,
    "fallbacks": sa.JSON,
    "inputs": sa.JSON,
    "source_url": sa.Text,
    "name": sa.Text,
    "external_id": sa.Text,
    "batch_id": sa.Text,
    "batch_index": sa.Integer,
    "tags": sa.JSON,
    "metadata": sa.JSON,
    "webhook_url": sa.Text,
    "notify": sa.JSON,
    "lane": sa.Text,
    "priority": sa.Integer,
    "run_at": Instant,
    "start_by": Instant,
    "timeout_s": sa.Float,
    "visibility": sa.Text,
    "keep_s": sa.Float,
    "repeatable": sa.Boolean,
    "max_attempts": sa.Integer,
    "estimate_micros": sa.BigInteger,
}


_ALONE: Mapping[str, Any] = {"fallbacks": []}


_ROWS = Given(**_NEW)


@cache
def _inserting(dialect: str) -> ReturningInsert[Any]:
    new = _ROWS.table(dialect)
    values = {name: new.c[name] for name in _NEW} | {
        "priority": sa.func.coalesce(new.c.priority, 0),
        "run_at": sa.func.coalesce(new.c.run_at, now()),
        "ready": new.c.run_at.is_(None),
        "status": sa.literal(JobStatus.QUEUED.value),
        "stage": sa.literal("queued"),
        "seq": sa.literal(1),
        "created_at": now(),
    }
    for name in ("prompt", "source_url", "name", "external_id", "webhook_url"):
        values[name] = sa.func.coalesce(new.c[name], "")
    values["visibility"] = sa.func.coalesce(new.c.visibility, _usual(new, accounts.c.visibility))
    is_model = new.c.kind == Kind.IMAGE_TO_3D
    kept = sa.case((is_model, accounts.c.keep_model_3d_s), else_=accounts.c.keep_image_s)
    values["keep_s"] = sa.func.coalesce(new.c.keep_s, _usual(new, kept))
    return sa.insert(jobs).from_select(list(values), sa.select(*values.values())).returning(jobs)


def insert(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> list[Job]:
    """Queue new jobs, each with its first event, and return them in the same order.

    A `run_at` makes a job wait until a claim finds it due; those without one are due now.
    """
    if not rows:
        return []
    complete = ({**_ALONE, **row} for row in rows)
    written = tx.execute(_inserting(tx.dialect.name), _ROWS.bind(tx, complete)).mappings()
    found = {row["id"]: to_job(row) for row in written}
    made = [found[row["id"]] for row in rows]
    news.tell(tx, made, "job.queued")
    for job in made:
        telemetry.MOVES.labels("submit", job.kind).inc()
    return made


def delete(tx: Connection, job_id: str) -> None:
    """Remove a final job's row and its attempts; the caller dealt with its assets."""
    tx.execute(sa.delete(jobs).where(jobs.c.id == job_id, jobs.c.status.in_(FINAL)))


def _usual(new: sa.FromClause, column: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    """Return what the account says for jobs that do not."""
    return sa.select(column).where(accounts.c.id == new.c.account_id).scalar_subquery()


def get(tx: Connection, account_id: str, job_id: str) -> Job | None:
    """Return the account's job; another account's is as absent as none."""
    query = sa.select(jobs).where(jobs.c.id == job_id, jobs.c.account_id == account_id)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else to_job(row)


def notify_of(tx: Connection, ids: Collection[str]) -> dict[str, list[str]]:
    """Return whom those of these jobs want told of their end that say so."""
    query = sa.select(jobs.c.id, jobs.c.notify).where(
        jobs.c.id.in_(ids), jobs.c.notify.is_not(None)
    )
    return {row.id: row.notify for row in tx.execute(query)}


def _ended(account_id: str, since: datetime, until: datetime) -> sa.ColumnElement[bool]:
    time = jobs.c.finished_at
    return sa.and_(jobs.c.account_id == account_id, time >= since, time < until)


def has_ended(tx: Connection, account_id: str, since: datetime, until: datetime) -> bool:
    """Say whether any job of an account ended between two moments."""
    query = sa.select(sa.literal(1)).where(_ended(account_id, since, until)).limit(1)
    return tx.scalar(query) is not None


def ended_counts(
    tx: Connection, account_id: str, since: datetime, until: datetime
) -> dict[JobStatus, int]:
    """Return how many jobs of an account ended between two moments, and how."""
    query = (
        sa.select(jobs.c.status, sa.func.count())
        .where(_ended(account_id, since, until))
        .group_by(jobs.c.status)
    )
    return {JobStatus(status): count for status, count in tx.execute(query)}


def ended(
    tx: Connection,
    account_id: str,
    since: datetime,
    until: datetime,
    *,
    status: JobStatus,
    limit: int,
) -> list[Job]:
    """Return the newest that ended so between two moments."""
    query = (
        sa.select(jobs)
        .where(_ended(account_id, since, until), jobs.c.status == status)
        .order_by(jobs.c.finished_at.desc())
        .limit(limit)
    )
    return [to_job(row) for row in tx.execute(query).mappings()]


def webhook_urls(tx: Connection, ids: Collection[str]) -> dict[str, str]:
    """Return the addresses that those of these jobs have named that name one."""
    query = sa.select(jobs.c.id, jobs.c.webhook_url).where(
        jobs.c.id.in_(ids), jobs.c.webhook_url != ""
    )
    return {row.id: row.webhook_url for row in tx.execute(query)}


def is_final(tx: Connection, job_id: str) -> bool:
    """Say whether nothing more will happen to a job."""
    status = tx.scalar(sa.select(jobs.c.status).where(jobs.c.id == job_id))
    return status is None or JobStatus(status) in FINAL


def succeeded_by(tx: Connection, attempt_id: str) -> Job | None:
    """Return the job if it was this very attempt that finished it."""
    query = (
        sa.select(jobs)
        .join(attempts, attempts.c.job_id == jobs.c.id)
        .where(attempts.c.id == attempt_id, attempts.c.outcome == Outcome.SUCCEEDED)
        .where(jobs.c.status == JobStatus.SUCCEEDED)
    )
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else to_job(row)


def page(
    tx: Connection,
    account_id: str,
    *,
    before: str | None,
    limit: int,
    equal: Mapping[str, Any],
    statuses: Sequence[JobStatus] = (),
) -> list[Job]:
    """Return up to `limit` of the account's jobs older than id `before`, newest first."""
    query = sa.select(jobs).where(jobs.c.account_id == account_id)
    for column, value in equal.items():
        query = query.where(jobs.c[column] == value)
    if statuses:
        query = query.where(jobs.c.status.in_(statuses))
    if before:
        query = query.where(jobs.c.id < before)
    query = query.order_by(jobs.c.id.desc()).limit(limit)
    return [to_job(row) for row in tx.execute(query).mappings()]


def ahead_of(tx: Connection, job: Job, *, limit: int) -> int:
    """Return how many ready jobs of the lane are older or more urgent, counting up to `limit`."""
    ahead = (
        sa.select(jobs.c.id)
        .where(
            READY,
            jobs.c.lane == job.lane,
            sa.or_(
                jobs.c.priority > job.priority,
                sa.and_(jobs.c.priority == job.priority, jobs.c.run_at < job.run_at),
            ),
        )
        .limit(limit)
        .subquery()
    )
    return tx.scalar(sa.select(sa.func.count()).select_from(ahead)) or 0


def recent_durations(tx: Connection, model: str, *, limit: int) -> list[float]:
    """Return how many seconds the model's last successful jobs ran."""
    query = (
        sa.select(jobs.c.started_at, jobs.c.finished_at)
        .where(jobs.c.model == model, jobs.c.status == JobStatus.SUCCEEDED)
        .order_by(jobs.c.finished_at.desc())
        .limit(limit)
    )
    return [(end - start).total_seconds() for start, end in tx.execute(query) if start and end]
