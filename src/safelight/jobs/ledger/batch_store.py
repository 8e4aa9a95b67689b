"""Rows of batches, and of their jobs."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight import events
from safelight.db.tables import batches, jobs
from safelight.db.types import now
from safelight.db.walks import among, newest
from safelight.jobs.job import FINAL, Batch, Job, JobStatus, NewBatch, Tally
from safelight.jobs.ledger import job_events
from safelight.jobs.ledger.rows import to_batch, to_job


def insert(tx: Connection, row: NewBatch) -> Batch:
    """Insert a batch with its first event; insert its jobs afterwards."""
    statement = sa.insert(batches).values(created_at=now(), seq=1, **row).returning(batches)
    batch = to_batch(tx.execute(statement).mappings().one())
    events.append(tx, [job_events.batch_event(batch, "batch.created")])
    return batch


def get(tx: Connection, account_id: str, batch_id: str) -> Batch | None:
    """Return the account's batch, or None."""
    query = sa.select(batches).where(batches.c.id == batch_id, batches.c.account_id == account_id)
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else to_batch(row)


def notify_of(tx: Connection, ids: Collection[str]) -> dict[str, list[str]]:
    """Return the contacts to notify for each batch that names any."""
    query = sa.select(batches.c.id, batches.c.notify).where(
        batches.c.id.in_(ids), batches.c.notify.is_not(None)
    )
    return {row.id: row.notify for row in tx.execute(query)}


def webhook_urls(tx: Connection, ids: Collection[str]) -> dict[str, str]:
    """Return the webhook URL of each batch that has one."""
    query = sa.select(batches.c.id, batches.c.webhook_url).where(
        batches.c.id.in_(ids), batches.c.webhook_url != ""
    )
    return {row.id: row.webhook_url for row in tx.execute(query)}


def change(tx: Connection, batch_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of a batch."""
    if values:
        tx.execute(sa.update(batches).where(batches.c.id == batch_id).values(**values))


def page(tx: Connection, account_id: str, *, before: str | None, limit: int) -> list[Batch]:
    """Return up to `limit` of the account's batches older than id `before`, newest first."""
    columns = (batches.c.account_id, batches.c.id)
    wanted = newest(tx, columns, [(account_id,)], before=before, limit=limit)
    query = sa.select(batches).where(among(tx, batches.c.id, wanted))
    query = query.order_by(batches.c.id.desc())
    return [to_batch(row) for row in tx.execute(query).mappings()]


def tallies(tx: Connection, found: Sequence[Batch]) -> dict[str, Tally]:
    """Return the progress of each batch."""
    query = (
        sa.select(
            jobs.c.batch_id,
            jobs.c.status,
            sa.func.count().label("jobs"),
            sa.func.sum(jobs.c.progress).label("percent"),
        )
        .where(jobs.c.batch_id.in_([batch.id for batch in found]))
        .group_by(jobs.c.batch_id, jobs.c.status)
    )
    counts: dict[str, dict[JobStatus, int]] = {batch.id: {} for batch in found}
    percents = dict.fromkeys(counts, 0.0)
    for row in tx.execute(query):
        status = JobStatus(row.status)
        counts[row.batch_id][status] = row.jobs
        percents[row.batch_id] += 0.0 if status in FINAL else row.percent
    return {
        batch.id: Tally(counts[batch.id], percents[batch.id], len(batch.problems))
        for batch in found
    }


def heads(tx: Connection, *, batch_id: str) -> dict[str, int]:
    """Return the latest `seq` of a batch and of each of its jobs."""
    own = sa.select(batches.c.id, batches.c.seq).where(batches.c.id == batch_id)
    items = sa.select(jobs.c.id, jobs.c.seq).where(jobs.c.batch_id == batch_id)
    return {row.id: row.seq for row in tx.execute(own.union_all(items))}


def marks(tx: Connection, batch_ids: Collection[str]) -> dict[str, int]:
    """Return the sum of `heads` for each batch, which changes with every event of it."""
    own = sa.select(batches.c.id, batches.c.seq).where(among(tx, batches.c.id, batch_ids))
    items = sa.select(jobs.c.batch_id, jobs.c.seq).where(among(tx, jobs.c.batch_id, batch_ids))
    each = own.union_all(items).subquery()
    query = sa.select(each.c.id, sa.func.sum(each.c.seq).label("mark")).group_by(each.c.id)
    return {row.id: int(row.mark) for row in tx.execute(query)}


def jobs_of(
    tx: Connection,
    batch_id: str,
    *,
    statuses: Sequence[JobStatus] = (),
    after: int = -1,
    limit: int | None = None,
) -> list[Job]:
    """Return a batch's jobs in order of their index, after index `after`."""
    query = sa.select(jobs).where(jobs.c.batch_id == batch_id, jobs.c.batch_index > after)
    if statuses:
        query = query.where(jobs.c.status.in_(statuses))
    query = query.order_by(jobs.c.batch_index).limit(limit)
    return [to_job(row) for row in tx.execute(query).mappings()]
