"""Rows of deleted accounts: their unfinished jobs, and the removal of all others by page."""

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight import events
from safelight.db.tables import OPEN, assets, attempts, batches, jobs
from safelight.db.walks import among
from safelight.jobs.job import FINAL, JobStatus


def unfinished(tx: Connection, account_id: str, *, limit: int) -> list[str]:
    """Return up to `limit` jobs of an account that have not ended."""
    going_on = [status for status in JobStatus if status not in FINAL]
    query = sa.select(jobs.c.id).where(jobs.c.account_id == account_id, jobs.c.status.in_(going_on))
    return list(tx.scalars(query.limit(limit)))


def remove_jobs(tx: Connection, account_id: str, *, limit: int) -> int:
    """Remove up to `limit` ended jobs of a deleted account, with attempts and events.

    A job with an open attempt stays until the janitor has closed that.
    """
    is_open = sa.exists().where(attempts.c.job_id == jobs.c.id, OPEN)
    query = sa.select(jobs.c.id).where(
        jobs.c.account_id == account_id, jobs.c.status.in_(FINAL), ~is_open
    )
    leaving = tx.scalars(query.limit(limit).with_for_update(skip_locked=True)).all()
    tx.execute(sa.update(assets).where(among(tx, assets.c.job_id, leaving)).values(job_id=None))
    events.remove(tx, leaving)
    return tx.execute(sa.delete(jobs).where(among(tx, jobs.c.id, leaving))).rowcount


def remove_batches(tx: Connection, account_id: str, *, limit: int) -> int:
    """Remove up to `limit` batches of a deleted account that have no jobs left, with events."""
    has_jobs = sa.exists().where(jobs.c.batch_id == batches.c.id)
    query = sa.select(batches.c.id).where(batches.c.account_id == account_id, ~has_jobs)
    leaving = tx.scalars(query.limit(limit)).all()
    events.remove(tx, leaving)
    return tx.execute(sa.delete(batches).where(among(tx, batches.c.id, leaving))).rowcount
