"""Rows of jobs: inserts, reads, deletions. Status changes are in moves.py."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeEngine

from safelight import telemetry
from safelight.assets.asset import Asset
from safelight.assets.store import to_asset
from safelight.db.json_rows import JsonRows
from safelight.db.tables import (
    ENDED,
    READY,
    SUCCEEDED,
    accounts,
    assets,
    attempts,
    jobs,
)
from safelight.db.types import Instant, now
from safelight.db.walks import LOOKED_AT, Page, among, is_named, named, newest, span
from safelight.jobs.job import (
    FINAL,
    Job,
    JobStatus,
    NewJob,
    Outcome,
    Standing,
)
from safelight.jobs.ledger import job_events
from safelight.jobs.ledger.rows import to_job
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

# the columns of the indexes
_NEWEST = (jobs.c.account_id, jobs.c.status, jobs.c.id)
_ENDED = (jobs.c.account_id, jobs.c.status, jobs.c.finished_at)
_SUCCEEDED = (jobs.c.model, jobs.c.finished_at)


_ROWS = JsonRows(**_NEW)


@cache
def _insert_statement(dialect: str) -> ReturningInsert[Any]:
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


def insert(tx: Connection, rows: Sequence[NewJob]) -> list[Job]:
    """Insert new queued jobs with their first events, and return them in the same order.

    A job with `run_at` is due at that time; others are due now.
    """
    if not rows:
        return []
    complete = ({**_ALONE, **row} for row in rows)
    written = tx.execute(_insert_statement(tx.dialect.name), _ROWS.bind(tx, complete)).mappings()
    found = {row["id"]: to_job(row) for row in written}
    made = [found[row["id"]] for row in rows]
    job_events.tell(tx, made, "job.queued")
    for job in made:
        telemetry.MOVES.labels("submit", job.kind).inc()
    return made


def delete(tx: Connection, job_id: str) -> None:
    """Delete a final job with its attempts; the caller has handled its assets."""
    tx.execute(sa.delete(jobs).where(jobs.c.id == job_id, jobs.c.status.in_(FINAL)))


def _usual(new: sa.FromClause, column: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    """Return the account's default for a column."""
    return sa.select(column).where(accounts.c.id == new.c.account_id).scalar_subquery()


def get(tx: Connection, account_id: str, job_id: str) -> Job | None:
    """Return the account's job, or None."""
    query = sa.select(jobs).where(jobs.c.id == job_id, jobs.c.account_id == account_id)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else to_job(row)


@cache
def _seen_statement(dialect: str) -> sa.Select[Any]:
    outputs = [column.label(f"output_{column.name}") for column in assets.c]
    return (
        sa.select(jobs, *outputs)
        .join_from(jobs, assets, assets.c.job_id == jobs.c.id, isouter=True)
        .where(is_named(dialect, jobs.c.id))
        .order_by(jobs.c.id, assets.c.position)
    )


def with_outputs(
    tx: Connection, wanted: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[Job, list[Asset]]]:
    """Return jobs with their outputs in order, by account and id, in one statement.

    Jobs that are not of the account that they are `wanted` for are left out.
    """
    found: dict[tuple[str, str], tuple[Job, list[Asset]]] = {}
    owned = set(wanted)
    given = {"ids": named(tx, [job_id for _, job_id in wanted])}
    columns = len(jobs.c)
    for row in tx.execute(_seen_statement(tx.dialect.name), given):
        own = dict(zip(jobs.c.keys(), row[:columns], strict=True))
        name = (own["account_id"], own["id"])
        if name not in owned:
            continue
        if name not in found:
            found[name] = to_job(own), []
        output = dict(zip(assets.c.keys(), row[columns:], strict=True))
        if output["id"] is not None:
            found[name][1].append(to_asset(output))
    return found


@cache
def _standings_statement(dialect: str) -> sa.Select[Any, Any, Any, Any]:
    return sa.select(jobs.c.id, jobs.c.account_id, jobs.c.seq, jobs.c.status).where(
        is_named(dialect, jobs.c.id)
    )


def standings(tx: Connection, job_ids: Collection[str]) -> dict[str, Standing]:
    """Return how far each of these jobs is."""
    rows = tx.execute(_standings_statement(tx.dialect.name), {"ids": named(tx, job_ids)})
    return {row.id: Standing(row.account_id, row.seq, row.status in FINAL) for row in rows}


def locked(tx: Connection, job_id: str) -> Job | None:
    """Return a job, whosever it is, that nobody else moves before the transaction ends."""
    row = tx.execute(sa.select(jobs).where(jobs.c.id == job_id).with_for_update()).mappings()
    found = row.one_or_none()
    return None if found is None else to_job(found)


def notify_of(tx: Connection, ids: Collection[str]) -> dict[str, list[str]]:
    """Return the contacts to notify for each job that names any."""
    query = sa.select(jobs.c.id, jobs.c.notify).where(
        jobs.c.id.in_(ids), jobs.c.notify.is_not(None)
    )
    return {row.id: row.notify for row in tx.execute(query)}


def has_ended(tx: Connection, account_id: str, since: datetime, until: datetime) -> bool:
    """Return whether any job of an account ended between two times."""
    return any(ended(tx, account_id, since, until, status=status, limit=1) for status in FINAL)


def ended_counts(
    tx: Connection, account_id: str, since: datetime, until: datetime
) -> dict[JobStatus, int]:
    """Return how many jobs of an account ended between two times, by status."""
    found: dict[JobStatus, int] = {}
    for status in FINAL:
        conditions, _ = span(_ENDED, (account_id, status), since=since, until=until)
        query = sa.select(sa.func.count()).select_from(jobs).where(ENDED, *conditions)
        if count := tx.scalar(query):
            found[status] = count
    return found


def ended(
    tx: Connection,
    account_id: str,
    since: datetime,
    until: datetime,
    *,
    status: JobStatus,
    limit: int,
) -> list[Job]:
    """Return the newest jobs that ended with `status` between two times."""
    conditions, order = span(_ENDED, (account_id, status), since=since, until=until)
    query = sa.select(jobs).where(ENDED, *conditions).order_by(*order).limit(limit)
    return [to_job(row) for row in tx.execute(query).mappings()]


def webhook_urls(tx: Connection, ids: Collection[str]) -> dict[str, str]:
    """Return the webhook URL of each job that has one."""
    query = sa.select(jobs.c.id, jobs.c.webhook_url).where(
        jobs.c.id.in_(ids), jobs.c.webhook_url != ""
    )
    return {row.id: row.webhook_url for row in tx.execute(query)}


def unfinished(tx: Connection, *, most: int) -> int:
    """Return how many jobs have not ended, counted up to `most`."""
    found = sa.select(jobs.c.id).where(jobs.c.status.not_in(FINAL)).limit(most).subquery()
    return tx.scalar(sa.select(sa.func.count()).select_from(found)) or 0


def ended_of(tx: Connection, job_ids: Collection[str]) -> set[str]:
    """Return which of these jobs are final; deleted jobs count as final."""
    query = sa.select(jobs.c.id).where(jobs.c.id.in_(job_ids), jobs.c.status.not_in(FINAL))
    return set(job_ids) - set(tx.scalars(query))


def succeeded_by(tx: Connection, attempt_id: str) -> Job | None:
    """Return the job if this attempt finished it, or None."""
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
) -> Page[Job]:
    """Return up to `limit` of the account's jobs older than id `before`, newest first.

    Statuses and batches have indexes; other columns of `equal` are matched in the newest
    `LOOKED_AT` jobs before `before`, so a page before the last may be shorter than `limit`.
    """
    wanted = dict(equal)
    batch_id = wanted.pop("batch_id", None)
    is_bounded = bool(wanted) and batch_id is None
    if batch_id is None:
        prefixes = [(account_id, status) for status in statuses or JobStatus]
        most = LOOKED_AT if wanted else limit + 1
        looked_at = newest(tx, _NEWEST, prefixes, before=before, limit=most)
    else:
        looked_at = _of_batch(tx, account_id, batch_id, before, statuses)
    query = sa.select(jobs).where(
        among(tx, jobs.c.id, looked_at),
        *(jobs.c[column] == value for column, value in wanted.items()),
    )
    rows = tx.execute(query.order_by(jobs.c.id.desc()).limit(limit + 1)).mappings()
    found = [to_job(row) for row in rows]
    if len(found) > limit:
        return Page(found[:limit], found[limit - 1].id)
    return Page(found, looked_at[-1] if is_bounded and len(looked_at) == LOOKED_AT else None)


def _of_batch(
    tx: Connection,
    account_id: str,
    batch_id: str,
    before: str | None,
    statuses: Sequence[JobStatus],
) -> Sequence[str]:
    query = sa.select(jobs.c.id).where(jobs.c.batch_id == batch_id, jobs.c.account_id == account_id)
    if statuses:
        query = query.where(jobs.c.status.in_(statuses))
    if before:
        query = query.where(jobs.c.id < before)
    return tx.scalars(query).all()


def ahead_of(tx: Connection, job: Job, *, limit: int) -> int:
    """Return how many ready jobs of the lane come before `job`, counting up to `limit`."""
    more_urgent = _count_in_line(tx, job.lane, jobs.c.priority > job.priority, limit)
    older = sa.and_(jobs.c.priority == job.priority, jobs.c.run_at < job.run_at)
    return more_urgent + _count_in_line(tx, job.lane, older, limit - more_urgent)


def _count_in_line(tx: Connection, lane: str, before: sa.ColumnElement[bool], limit: int) -> int:
    """Count in index order; separate queries, because SQLite reads every row for an OR."""
    ahead = (
        sa.select(jobs.c.run_at)
        .where(READY, jobs.c.lane == lane, before)
        .order_by(jobs.c.priority.desc(), jobs.c.run_at)
        .limit(limit)
        .subquery()
    )
    return tx.scalar(sa.select(sa.func.count()).select_from(ahead)) or 0


def recent_durations(tx: Connection, model: str, *, limit: int) -> list[float]:
    """Return the durations of the model's last successful jobs, in seconds."""
    conditions, order = span(_SUCCEEDED, (model,))
    query = (
        sa.select(jobs.c.started_at, jobs.c.finished_at)
        .where(SUCCEEDED, *conditions)
        .order_by(*order)
        .limit(limit)
    )
    return [(end - start).total_seconds() for start, end in tx.execute(query) if start and end]
