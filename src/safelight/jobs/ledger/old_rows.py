"""Removes old events, jobs and batches, looking at one page of rows in a call.

Rows that must stay are passed over, and the next page goes on behind them: so a call costs the
same however many there are of either kind. What must stay is asked for by id, in a query of its
own: as part of the first, a planner may read every unfinished job to answer it. While an account
is held, everything of it stays.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ColumnElement, Connection, Row

from safelight.db.tables import ENDED, OPEN, accounts, assets, attempts, batches, events, jobs
from safelight.db.types import now
from safelight.db.walks import among


@dataclass(frozen=True, slots=True)
class Mark:
    """The row that was looked at last."""

    at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Swept:
    """How many rows went, whether there may be more, and where to go on."""

    removed: int
    more: bool
    last: Mark | None


def sweep_events(tx: Connection, *, kept: timedelta, after: Mark | None, limit: int) -> Swept:
    """Remove events older than `kept`, but none of a job or batch that has not ended.

    One whose deliveries have not been made stays as well.
    """
    query = (
        sa.select(
            events.c.id,
            events.c.created_at.label("at"),
            events.c.subject,
            events.c.batch_id,
            events.c.account_id,
            events.c.told,
        )
        .where(events.c.created_at < now(-kept), *_beyond(events.c.created_at, events.c.id, after))
        .order_by(events.c.created_at, events.c.id)
        .limit(limit)
    )
    found = tx.execute(query).all()
    live_jobs = _unfinished(tx, jobs.c.id, jobs.c.finished_at, {row.subject for row in found})
    of_batches = {row.batch_id for row in found if row.batch_id}
    live_batches = _unfinished(tx, batches.c.id, batches.c.finished_at, of_batches)
    held = _held(tx, {row.account_id for row in found})
    leaving = [
        row.id
        for row in found
        if row.told
        and row.account_id not in held
        and row.subject not in live_jobs
        and row.batch_id not in live_batches
    ]
    removed = tx.execute(sa.delete(events).where(among(tx, events.c.id, leaving))).rowcount
    return _swept(removed, found, limit)


def sweep_jobs(tx: Connection, *, kept: timedelta, after: Mark | None, limit: int) -> Swept:
    """Remove jobs that ended longer than `kept` ago, with their attempts.

    Their outputs stay, under the same addresses. A job with an open attempt stays too: without
    its row nobody would cancel at the provider, or know what it cost.
    """
    query = (
        sa.select(jobs.c.id, jobs.c.finished_at.label("at"), jobs.c.account_id)
        .where(
            ENDED,
            jobs.c.finished_at < now(-kept),
            *_beyond(jobs.c.finished_at, jobs.c.id, after),
        )
        .order_by(jobs.c.finished_at, jobs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = tx.execute(query).all()
    ids = [row.id for row in found]
    stay = set(
        tx.scalars(sa.select(attempts.c.job_id).where(OPEN, among(tx, attempts.c.job_id, ids)))
    )
    held = _held(tx, {row.account_id for row in found})
    leaving = [row.id for row in found if row.id not in stay and row.account_id not in held]
    tx.execute(sa.update(assets).where(among(tx, assets.c.job_id, leaving)).values(job_id=None))
    removed = tx.execute(sa.delete(jobs).where(among(tx, jobs.c.id, leaving))).rowcount
    return _swept(removed, found, limit)


def sweep_batches(tx: Connection, *, kept: timedelta, after: Mark | None, limit: int) -> Swept:
    """Remove batches that ended longer than `kept` ago and have no job left.

    Goes by id, which sorts by time, as far as those that were made longer than `kept` ago.
    """
    query = (
        sa.select(
            batches.c.id,
            batches.c.created_at.label("at"),
            batches.c.account_id,
            (batches.c.created_at >= now(-kept)).label("is_young"),
            sa.func.coalesce(batches.c.finished_at < now(-kept), sa.false()).label("is_old"),
        )
        .where(batches.c.id > (after.id if after else ""))
        .order_by(batches.c.id)
        .limit(limit)
    )
    found = tx.execute(query).all()
    held = _held(tx, {row.account_id for row in found})
    old = [row.id for row in found if row.is_old and row.account_id not in held]
    stay = set(
        tx.scalars(sa.select(jobs.c.batch_id).distinct().where(among(tx, jobs.c.batch_id, old)))
    )
    leaving = [batch_id for batch_id in old if batch_id not in stay]
    removed = tx.execute(sa.delete(batches).where(among(tx, batches.c.id, leaving))).rowcount
    if found and found[-1].is_young:
        return Swept(removed, more=False, last=None)
    return _swept(removed, found, limit)


def _unfinished(
    tx: Connection, row_id: Column[str], finished_at: Column[datetime], wanted: Iterable[str]
) -> set[str]:
    query = sa.select(row_id).where(among(tx, row_id, sorted(wanted)), finished_at.is_(None))
    return set(tx.scalars(query))


def _held(tx: Connection, account_ids: set[str]) -> set[str]:
    mine = among(tx, accounts.c.id, sorted(account_ids))
    return set(tx.scalars(sa.select(accounts.c.id).where(mine, accounts.c.hold != "")))


def _beyond(
    at: Column[datetime], row_id: Column[str], after: Mark | None
) -> tuple[ColumnElement[bool], ...]:
    if after is None:
        return ()
    # Said twice, as an index serves only the first: many may be of one instant.
    return at >= after.at, sa.or_(at > after.at, row_id > after.id)


def _swept(removed: int, found: Sequence[Row[*tuple[Any, ...]]], limit: int) -> Swept:
    more = len(found) == limit
    last = Mark(found[-1].at, found[-1].id) if more else None
    return Swept(removed, more=more, last=last)
