"""Dead letters: the failed jobs of one account or all, newest first, and their way back."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from safelight.db.tables import DEAD, jobs
from safelight.jobs import attempts, moves, rows
from safelight.jobs.job import Job

_NEWEST = (jobs.c.finished_at.desc(), jobs.c.id.desc())


@dataclass(frozen=True, slots=True)
class Which:
    """Which dead letters are meant; None leaves a side open."""

    account_id: str | None = None
    model: str | None = None
    provider: str | None = None
    lane: str | None = None
    kind: str | None = None
    code: str | None = None  # of the error
    finished_after: datetime | None = None
    finished_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the list, just behind the job of that id, whether or not it is still there."""

    finished_at: datetime
    job_id: str


@dataclass(frozen=True, slots=True)
class Redriven:
    """What one look along the list has queued anew, and where the next one goes on."""

    jobs: list[Job]
    skipped: int  # an attempt is still open, and may cost money: it is settled first
    last: Mark | None  # None where the list has ended


def page(tx: Connection, which: Which, *, after: Mark | None, limit: int) -> list[Job]:
    """Return up to `limit` dead letters behind the mark `after`, newest first."""
    query = sa.select(jobs).where(DEAD, *_match(which, after)).order_by(*_NEWEST).limit(limit)
    return [rows.to_job(row) for row in tx.execute(query).mappings()]


def redrive_page(tx: Connection, which: Which, *, after: Mark | None, limit: int) -> Redriven:
    """Queue up to `limit` dead letters anew; those that somebody else redrives now are his."""
    columns = (jobs.c.id, jobs.c.finished_at, jobs.c.batch_id)
    query = sa.select(*columns).where(DEAD, *_match(which, after)).order_by(*_NEWEST).limit(limit)
    found = tx.execute(query.with_for_update(skip_locked=True)).all()
    ids = [row.id for row in found]
    unsettled = attempts.close_by_person(tx, ids)
    # In the order of batches, whose rows are locked as well: two that go on at once never cross.
    settled = sorted((row.batch_id or "", row.id) for row in found if row.id not in unsettled)
    moved = [moves.redrive(tx, job_id) for _, job_id in settled]
    last = Mark(found[-1].finished_at, found[-1].id) if len(found) == limit else None
    return Redriven(moved, len(unsettled), last)


def _match(which: Which, after: Mark | None) -> list[ColumnElement[bool]]:
    names = ("account_id", "model", "provider", "lane", "kind")
    wanted = {name: getattr(which, name) for name in names}
    match = [jobs.c[name] == value for name, value in wanted.items() if value is not None]
    if which.code is not None:
        match.append(jobs.c.error["code"].as_string() == which.code)
    if which.finished_after is not None:
        match.append(jobs.c.finished_at > which.finished_after)
    if which.finished_before is not None:
        match.append(jobs.c.finished_at < which.finished_before)
    if after is not None:
        # Said twice, as an index serves only the first: many may have ended at one instant.
        match.append(jobs.c.finished_at <= after.finished_at)
        is_older = jobs.c.finished_at < after.finished_at
        match.append(sa.or_(is_older, jobs.c.id < after.job_id))
    return match
