"""Who gets to run what: claims that are fair between accounts, and the leases that keep them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight.db.tables import DELAYED, LEASED, READY, WAITING, jobs
from safelight.db.types import now
from safelight.jobs import store
from safelight.jobs.job import Job, JobStatus

_PROMOTE_AT_ONCE = 500
_ACCOUNTS_AT_ONCE = 128  # more than a worker claims at once, so that none is passed over

# Walks the accounts that have ready work by skipping through the partial index, first those after
# :cursor, then those up to it; takes the best jobs of each, and of those one of each account in
# turn, so that one account's thousands never stand before another's one. Its cost depends on the
# slots and the page of accounts, never on how much is queued. A job whose `start_by` has passed is
# left to the janitor, unless it did start and waits for another try.
_WALK = """
WITH RECURSIVE ahead(account_id) AS (
  SELECT (SELECT account_id FROM jobs
          WHERE ready AND lane = :lane AND account_id > :cursor ORDER BY account_id LIMIT 1)
  UNION ALL
  SELECT (SELECT j.account_id FROM jobs j
          WHERE j.ready AND j.lane = :lane AND j.account_id > ahead.account_id
          ORDER BY j.account_id LIMIT 1)
  FROM ahead WHERE ahead.account_id IS NOT NULL
), behind(account_id) AS (
  SELECT (SELECT account_id FROM jobs
          WHERE ready AND lane = :lane AND account_id <= :cursor ORDER BY account_id LIMIT 1)
  UNION ALL
  SELECT (SELECT j.account_id FROM jobs j
          WHERE j.ready AND j.lane = :lane AND j.account_id > behind.account_id
            AND j.account_id <= :cursor
          ORDER BY j.account_id LIMIT 1)
  FROM behind WHERE behind.account_id IS NOT NULL
), page(account_id, lap) AS (
  SELECT account_id, 0 FROM ahead WHERE account_id IS NOT NULL
  UNION ALL
  SELECT account_id, 1 FROM behind WHERE account_id IS NOT NULL
  LIMIT :accounts
)"""
_BEST = """
  SELECT id FROM jobs
  WHERE ready AND lane = :lane AND account_id = page.account_id
    AND (start_by IS NULL OR start_by >= {now} OR started_at IS NOT NULL)
  ORDER BY priority DESC, run_at
  LIMIT (SELECT {max}(1, :slots + 1 - count(*)) FROM page)
"""  # one account's most, when each of the others gets at least one
_IN_TURN = "SELECT id, account_id FROM picked ORDER BY turn, lap, account_id LIMIT :slots"
_CLAIM = {
    "postgresql": """{walk}, picked AS (
  SELECT taken.id, page.account_id, page.lap, taken.turn FROM page CROSS JOIN LATERAL (
    SELECT locked.id, row_number() OVER () AS turn
    FROM ({best} FOR UPDATE SKIP LOCKED) locked
  ) taken
) {in_turn}""",
    "sqlite": """{walk}, picked AS (
  SELECT j.id, j.account_id, page.lap,
         row_number() OVER (PARTITION BY j.account_id ORDER BY j.priority DESC, j.run_at) AS turn
  FROM page JOIN jobs j ON j.id IN ({best})
) {in_turn}""",
}
_SPELLING = {
    "postgresql": {"now": "statement_timestamp()", "max": "greatest"},
    "sqlite": {"now": "now_us()", "max": "max"},
}
_FAIR = {
    dialect: sa.text(query.format(walk=_WALK, best=_BEST.format(**spelling), in_turn=_IN_TURN))
    for (dialect, query), spelling in zip(_CLAIM.items(), _SPELLING.values(), strict=True)
}


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one claim brought, and the account from which the next one should walk on."""

    jobs: list[Job]
    cursor: str


def claim(
    tx: Connection, *, worker: str, lane: str, slots: int, lease: timedelta, cursor: str = ""
) -> Claimed:
    """Lease up to `slots` due jobs of `lane` to `worker`: first provider checks, then starts."""
    _promote(tx, lane)
    checks = _lease(tx, _due_checks(tx, lane, slots), JobStatus.WAITING, worker, lease)
    chosen, cursor = _fair_starts(tx, lane, slots - len(checks), cursor)
    starts = _lease(tx, chosen, JobStatus.QUEUED, worker, lease)
    store.tell_started(tx, starts)
    return Claimed(checks + starts, cursor)


def renew(
    tx: Connection, *, worker: str, running: Iterable[store.Claim], lease: timedelta
) -> set[store.Claim]:
    """Prolong the leases of what `worker` runs in one statement; return those that it still has.

    A job it does not run, such as one whose claim was lost on the way back or that could not be
    settled, is left to run out, so that the janitor finds it.
    """
    statement = (
        sa.update(jobs)
        .where(
            jobs.c.id.in_([claim.job_id for claim in running]),
            jobs.c.status == JobStatus.RUNNING,
            jobs.c.leased_by == worker,
        )
        .values(leased_until=now(lease))
        .returning(jobs.c.id, jobs.c.claim_no)
    )
    return {store.Claim(job_id, claim_no) for job_id, claim_no in tx.execute(statement)}


def end_all_leases(tx: Connection) -> int:
    """Let every lease run out now. Only for a process that knows itself to be the only one."""
    statement = sa.update(jobs).where(LEASED).values(leased_until=now(timedelta(seconds=-1)))
    return tx.execute(statement).rowcount


def next_due(tx: Connection, lane: str) -> timedelta | None:
    """Return how long it is until the lane has something due, by the database's clock."""
    ready = sa.exists().where(READY, jobs.c.lane == lane)
    delayed = sa.select(sa.func.min(jobs.c.run_at)).where(DELAYED, jobs.c.lane == lane)
    waiting = sa.select(sa.func.min(jobs.c.run_at)).where(WAITING, jobs.c.lane == lane)
    row = tx.execute(
        sa.select(
            now().label("now"),
            ready.label("ready"),
            delayed.scalar_subquery().label("delayed"),
            waiting.scalar_subquery().label("waiting"),
        )
    ).one()
    if row.ready:
        return timedelta()
    times: list[datetime] = [time for time in (row.delayed, row.waiting) if time is not None]
    return max(min(times) - row.now, timedelta()) if times else None


def _promote(tx: Connection, lane: str) -> None:
    """Make delayed jobs ready whose time has come, so that claims need not look at the clock."""
    due = (
        sa.select(jobs.c.id)
        .where(DELAYED, jobs.c.lane == lane, jobs.c.run_at <= now())
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
        .where(WAITING, jobs.c.lane == lane, jobs.c.run_at <= now())
        .order_by(jobs.c.run_at)
        .limit(slots)
        .with_for_update(skip_locked=True)
    )
    return list(tx.scalars(query))


def _fair_starts(tx: Connection, lane: str, slots: int, cursor: str) -> tuple[list[str], str]:
    if slots <= 0:
        return [], cursor
    given = {"lane": lane, "slots": slots, "accounts": _ACCOUNTS_AT_ONCE, "cursor": cursor}
    found = tx.execute(_FAIR[tx.dialect.name], given).all()
    # The next claim walks on from the account that was served last.
    return [job_id for job_id, _ in found], found[-1].account_id if found else cursor


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
