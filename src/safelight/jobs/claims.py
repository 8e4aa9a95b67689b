"""Who gets to run what: claims that are fair between accounts, and the leases that keep them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.tables import jobs
from safelight.db.types import now
from safelight.jobs import store
from safelight.jobs.job import Job, JobStatus

_PROMOTE_AT_ONCE = 500
_ACCOUNTS_AT_ONCE = 64

# Walks the accounts that have ready work by skipping through the partial index, beginning after
# :cursor; takes up to :slots jobs of each, best first, and then one of each in turn, so that one
# account's thousands never stand before another's one. Flat: it never reads past what it returns
# by more than a page of accounts.
_PAGE = """
WITH RECURSIVE walk(account_id) AS (
  SELECT (SELECT account_id FROM jobs
          WHERE ready AND lane = :lane AND account_id > :cursor ORDER BY account_id LIMIT 1)
  UNION ALL
  SELECT (SELECT j.account_id FROM jobs j
          WHERE j.ready AND j.lane = :lane AND j.account_id > walk.account_id
          ORDER BY j.account_id LIMIT 1)
  FROM walk WHERE walk.account_id IS NOT NULL
), page AS (
  SELECT account_id FROM walk WHERE account_id IS NOT NULL LIMIT :accounts
)
"""
_FAIR = {
    "postgresql": sa.text(
        _PAGE
        + """
, picked AS (
  SELECT taken.id, page.account_id, taken.turn FROM page CROSS JOIN LATERAL (
    SELECT locked.id, row_number() OVER () AS turn FROM (
      SELECT id FROM jobs WHERE ready AND lane = :lane AND account_id = page.account_id
      ORDER BY priority DESC, run_at LIMIT :slots FOR UPDATE SKIP LOCKED
    ) locked
  ) taken
)
SELECT id, account_id FROM picked ORDER BY turn, account_id LIMIT :slots
"""
    ),
    "sqlite": sa.text(
        _PAGE
        + """
, picked AS (
  SELECT j.id, j.account_id,
         row_number() OVER (PARTITION BY j.account_id ORDER BY j.priority DESC, j.run_at) AS turn
  FROM page JOIN jobs j ON j.id IN (
    SELECT k.id FROM jobs k WHERE k.ready AND k.lane = :lane AND k.account_id = page.account_id
    ORDER BY k.priority DESC, k.run_at LIMIT :slots)
)
SELECT id, account_id FROM picked ORDER BY turn, account_id LIMIT :slots
"""
    ),
}


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one claim brought, and the account from which the next one should walk on."""

    jobs: list[Job]
    cursor: str


def claim(
    tx: Connection, *, worker: str, lane: str, slots: int, lease: timedelta, cursor: str = ""
) -> Claimed:
    """Lease up to `slots` due jobs of `lane` to `worker`: first checks on providers, then starts."""
    _promote(tx, lane)
    checks = _lease(tx, _due_checks(tx, lane, slots), JobStatus.WAITING, worker, lease)
    chosen, cursor = _fair_starts(tx, lane, slots - len(checks), cursor)
    starts = _lease(tx, chosen, JobStatus.QUEUED, worker, lease)
    store.tell_started(tx, starts)
    return Claimed(checks + starts, cursor)


def renew(tx: Connection, *, worker: str, lease: timedelta) -> set[store.Claim]:
    """Prolong every lease of `worker` in one statement; return what it still holds."""
    statement = (
        sa.update(jobs)
        .where(jobs.c.status == JobStatus.RUNNING, jobs.c.leased_by == worker)
        .values(leased_until=now(lease))
        .returning(jobs.c.id, jobs.c.claim_no)
    )
    return {store.Claim(job_id, claim_no) for job_id, claim_no in tx.execute(statement)}


def end_all_leases(tx: Connection) -> int:
    """Let every lease run out now. Only for a process that knows itself to be the only one."""
    statement = (
        sa.update(jobs)
        .where(jobs.c.status == JobStatus.RUNNING)
        .values(leased_until=now(timedelta(seconds=-1)))
    )
    return tx.execute(statement).rowcount


def next_due(tx: Connection, lane: str) -> datetime | None:
    """Return when the lane's next delayed job or check is due."""
    delayed = sa.select(sa.func.min(jobs.c.run_at)).where(
        jobs.c.status == JobStatus.QUEUED, ~jobs.c.ready, jobs.c.lane == lane
    )
    waiting = sa.select(sa.func.min(jobs.c.run_at)).where(
        jobs.c.status == JobStatus.WAITING, jobs.c.lane == lane
    )
    times: Mapping[int, datetime | None] = dict(
        enumerate((tx.scalar(delayed), tx.scalar(waiting)))
    )
    return min((time for time in times.values() if time), default=None)


def _promote(tx: Connection, lane: str) -> None:
    """Make delayed jobs ready whose time has come, so that claims need not look at the clock."""
    due = (
        sa.select(jobs.c.id)
        .where(
            jobs.c.status == JobStatus.QUEUED,
            ~jobs.c.ready,
            jobs.c.lane == lane,
            jobs.c.run_at <= now(),
        )
        .order_by(jobs.c.run_at)
        .limit(_PROMOTE_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    found = tx.scalars(due).all()
    if found:
        tx.execute(
            sa.update(jobs)
            .where(jobs.c.id.in_(found), jobs.c.status == JobStatus.QUEUED)
            .values(ready=True)
        )


def _due_checks(tx: Connection, lane: str, slots: int) -> list[str]:
    query = (
        sa.select(jobs.c.id)
        .where(jobs.c.status == JobStatus.WAITING, jobs.c.lane == lane, jobs.c.run_at <= now())
        .order_by(jobs.c.run_at)
        .limit(slots)
        .with_for_update(skip_locked=True)
    )
    return list(tx.scalars(query))


def _fair_starts(tx: Connection, lane: str, slots: int, cursor: str) -> tuple[list[str], str]:
    if slots <= 0:
        return [], cursor
    query = _FAIR[tx.dialect.name]
    given = {"lane": lane, "slots": slots, "accounts": _ACCOUNTS_AT_ONCE}
    found = tx.execute(query, given | {"cursor": cursor}).all()
    if not found and cursor:
        found = tx.execute(query, given | {"cursor": ""}).all()
    last = max((account for _, account in found), default="")
    # A page that was not filled reached the end of the accounts: begin again at the first.
    return [job_id for job_id, _ in found], last if len(found) == slots else ""


def _lease(
    tx: Connection, chosen: list[str], source: JobStatus, worker: str, lease: timedelta
) -> list[Job]:
    """Move `chosen` to running. A check on a provider is silent: its user sees no change."""
    if not chosen:
        return []
    is_start = source is JobStatus.QUEUED
    values = {
        "status": JobStatus.RUNNING,
        "claim_no": jobs.c.claim_no + 1,
        "leased_by": worker,
        "leased_until": now(lease),
        "ready": False,
    }
    if is_start:
        values |= {
            "seq": jobs.c.seq + 1,
            "stage": "starting",
            "started_at": sa.func.coalesce(jobs.c.started_at, now()),
        }
    statement = (
        sa.update(jobs)
        .where(jobs.c.id.in_(chosen), jobs.c.status == source)
        .values(values)
        .returning(jobs)
    )
    found = {row["id"]: store.to_job(row) for row in tx.execute(statement).mappings()}
    return [found[job_id] for job_id in chosen if job_id in found]
