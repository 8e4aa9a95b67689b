"""Dead letters: the failed jobs of one account or all, newest first, and their redrive.

An index serves account and time. For other filters, a query scans at most `LOOKED_AT` rows: it may
find few or none, and returns where the next one continues.
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
_LEAST = timedelta(microseconds=1)  # resolution of timestamps
_NEWEST = (jobs.c.finished_at.desc(), jobs.c.id.desc())


@dataclass(frozen=True, slots=True)
class Which:
    """A filter of dead letters; None means any."""

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
    """A cursor: the position after the job of that id, which may be gone."""

    finished_at: datetime
    job_id: str


@dataclass(frozen=True, slots=True)
class Letters:
    """A page of dead letters, and the cursor for the next one."""

    jobs: list[Job]
    last: Mark | None  # None on the last page


@dataclass(frozen=True, slots=True)
class Redriven:
    """A page of redriven jobs, and the cursor for the next one."""

    jobs: list[Job]
    skipped: int  # an attempt is still open and may cost money
    last: Mark | None  # None on the last page


def page(tx: Connection, which: Which, *, after: Mark | None, limit: int) -> Letters:
    """Return up to `limit` dead letters after the cursor `after`, newest first."""
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
    """Requeue up to `limit` dead letters; skips those locked by a concurrent redrive."""
    looked_at = _look(tx, which, after, limit)
    columns = (jobs.c.id, jobs.c.finished_at, jobs.c.batch_id)
    # Check the status again, because a row may have been moved meanwhile.
    match = (*_match(tx, which, looked_at), jobs.c.status == JobStatus.FAILED)
    query = sa.select(*columns).where(*match).order_by(*_NEWEST).limit(limit)
    found = tx.execute(query.with_for_update(skip_locked=True)).all()
    ids = [row.id for row in found]
    unsettled = attempts.close_by_person(tx, ids)
    # Ordered by batch, whose rows are locked as well, to prevent deadlocks.
    settled = sorted((row.batch_id or "", row.id) for row in found if row.id not in unsettled)
    moved = [moves.redrive(tx, job_id) for _, job_id in settled]
    is_full = len(found) == limit
    last = Mark(found[-1].finished_at, found[-1].id) if is_full else _end_of(which, looked_at)
    return Redriven(moved, len(unsettled), last)


def _look(tx: Connection, which: Which, after: Mark | None, limit: int) -> list[Mark]:
    """Return the rows to scan, using only indexed conditions."""
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
    if after is not None:  # several may have ended at the same time
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
    """Return the cursor after a scan that found too few; None at the end of the list."""
    return looked_at[-1] if _is_filtered(which) and len(looked_at) == LOOKED_AT else None


def _filters(which: Which) -> dict[str, str]:
    """Return the filters on columns without an index."""
    wanted = {name: getattr(which, name) for name in ("model", "provider", "lane", "kind")}
    return {name: value for name, value in wanted.items() if value is not None}


def _is_filtered(which: Which) -> bool:
    return bool(_filters(which)) or which.code is not None
