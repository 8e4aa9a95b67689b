"""Dead letters: the failed jobs of one account or all, newest first, and their way back.

An index serves account and time. For the rest a look goes through `LOOKED_AT` of them at most: it
may find few or none, and says where the next one goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from safelight.db.tables import DEAD, ENDED, jobs
from safelight.db.walks import LOOKED_AT, among, span
from safelight.jobs.job import Job, JobStatus
from safelight.jobs.ledger import attempts, moves, rows

_ENDED = (jobs.c.account_id, jobs.c.status, jobs.c.finished_at)  # an index
_LEAST = timedelta(microseconds=1)  # that two moments differ by
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
class Letters:
    """What one look along the list has found, and where the next one goes on."""

    jobs: list[Job]
    last: Mark | None  # None where the list has ended


@dataclass(frozen=True, slots=True)
class Redriven:
    """What one look along the list has queued anew, and where the next one goes on."""

    jobs: list[Job]
    skipped: int  # an attempt is still open, and may cost money: it is settled first
    last: Mark | None  # None where the list has ended


def page(tx: Connection, which: Which, *, after: Mark | None, limit: int) -> Letters:
    """Return up to `limit` dead letters behind the mark `after`, newest first."""
    looked_at = _look(tx, which, after, limit + 1)
    query = sa.select(jobs).where(*_match(tx, which, looked_at)).order_by(*_NEWEST)
    found = tx.execute(query.limit(limit + 1)).mappings().all()
    shown = found[:limit]
    last = (
        Mark(shown[-1]["finished_at"], shown[-1]["id"])
        if len(found) > limit
        else _end_of(which, looked_at)
    )
    return Letters([rows.to_job(row) for row in shown], last)


def redrive_page(tx: Connection, which: Which, *, after: Mark | None, limit: int) -> Redriven:
    """Queue up to `limit` dead letters anew; those that somebody else redrives now are his."""
    looked_at = _look(tx, which, after, limit)
    columns = (jobs.c.id, jobs.c.finished_at, jobs.c.batch_id)
    # The status again, for a row that somebody moved meanwhile.
    match = (*_match(tx, which, looked_at), jobs.c.status == JobStatus.FAILED)
    query = sa.select(*columns).where(*match).order_by(*_NEWEST).limit(limit)
    found = tx.execute(query.with_for_update(skip_locked=True)).all()
    ids = [row.id for row in found]
    unsettled = attempts.close_by_person(tx, ids)
    # In the order of batches, whose rows are locked as well: two that go on at once never cross.
    settled = sorted((row.batch_id or "", row.id) for row in found if row.id not in unsettled)
    moved = [moves.redrive(tx, job_id) for _, job_id in settled]
    is_full = len(found) == limit
    last = Mark(found[-1].finished_at, found[-1].id) if is_full else _end_of(which, looked_at)
    return Redriven(moved, len(unsettled), last)


def _look(tx: Connection, which: Which, after: Mark | None, limit: int) -> list[Mark]:
    """Return the letters that a look goes through, found by what has an index alone."""
    since = None if which.finished_after is None else which.finished_after + _LEAST
    ends = [which.finished_before, None if after is None else after.finished_at + _LEAST]
    until = min((end for end in ends if end is not None), default=None)
    query = sa.select(jobs.c.finished_at, jobs.c.id)
    if which.account_id is None:
        query = query.where(DEAD).order_by(*_NEWEST)
        query = query if since is None else query.where(jobs.c.finished_at >= since)
        query = query if until is None else query.where(jobs.c.finished_at < until)
    else:
        prefix = (which.account_id, JobStatus.FAILED)
        mine, order = span(_ENDED, prefix, since=since, until=until)
        query = query.where(ENDED, *mine).order_by(*order, jobs.c.id.desc())
    if after is not None:  # many may have ended at one instant
        is_older = jobs.c.finished_at < after.finished_at
        query = query.where(sa.or_(is_older, jobs.c.id < after.job_id))
    query = query.limit(LOOKED_AT if _is_filtered(which) else limit)
    return [Mark(row.finished_at, row.id) for row in tx.execute(query)]


def _match(tx: Connection, which: Which, looked_at: Sequence[Mark]) -> list[ColumnElement[bool]]:
    match = [among(tx, jobs.c.id, [mark.job_id for mark in looked_at])]
    match += [jobs.c[name] == value for name, value in _filters(which).items()]
    if which.code is not None:
        match.append(jobs.c.error["code"].as_string() == which.code)
    return match


def _end_of(which: Which, looked_at: Sequence[Mark]) -> Mark | None:
    """Return where a look that found too few goes on; None where the list has ended."""
    return looked_at[-1] if _is_filtered(which) and len(looked_at) == LOOKED_AT else None


def _filters(which: Which) -> dict[str, str]:
    """Return the values of the columns that no index serves."""
    wanted = {name: getattr(which, name) for name in ("model", "provider", "lane", "kind")}
    return {name: value for name, value in wanted.items() if value is not None}


def _is_filtered(which: Which) -> bool:
    return bool(_filters(which)) or which.code is not None
