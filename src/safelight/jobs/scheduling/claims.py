"""Claims: which worker runs which jobs, within all limits, and their leases."""

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Select
from sqlalchemy.sql.dml import ReturningUpdate

from safelight.db.json_rows import JsonRows
from safelight.db.tables import DELAYED, LEASED, WAITING, jobs, paused_lanes
from safelight.db.types import now
from safelight.jobs.job import Claim, Job, JobStatus, Move
from safelight.jobs.ledger import job_events
from safelight.jobs.ledger.moves import move_statement
from safelight.jobs.ledger.rows import to_job
from safelight.jobs.scheduling import breakers, fairness, pace
from safelight.jobs.scheduling import limits as limiting
from safelight.jobs.scheduling.limits import NO_LIMITS, ClaimLimits

_PROMOTE_AT_ONCE = 500
_CHECKS_AT_ONCE = 500
_PAGES_AT_ONCE = 8  # of accounts, when earlier ones are at their limit
_FENCE_BITS = 62  # a positive bigint; one number serves all jobs of a claim
_THROTTLED = timedelta(seconds=1)  # retry interval while a limit blocks ready work


@dataclass(frozen=True, slots=True)
class Cursor:
    """The end of the last claim; the next one continues after it, for round-robin fairness."""

    provider: str = ""
    accounts: Mapping[str, str] = field(default_factory=dict[str, str])  # by provider


START = Cursor()


@dataclass(frozen=True, slots=True)
class Checking:
    """Concurrent checks per provider in a worker's lane: the maximum, and the running ones."""

    most: int = 1_000
    running: Mapping[str, int] = field(default_factory=dict[str, int])  # by provider


@dataclass(frozen=True, slots=True)
class Claimed:
    """The result of a claim, the cursor for the next one, and how long it can wait."""

    jobs: list[Job]  # checks first
    checks: int  # how many of them were `waiting`: only these can have an open attempt
    at: datetime  # by the database's clock
    cursor: Cursor
    rest: timedelta | None  # until something is due; None if nothing is scheduled
    throttled: bool  # a limit left ready work unclaimed, so any run that ends makes room


def claim(
    tx: Connection,
    *,
    worker: str,
    lane: str,
    slots: int,
    lease: timedelta,
    limits: ClaimLimits = NO_LIMITS,
    cursor: Cursor = START,
    checking: Checking = Checking(),
) -> Claimed:
    """Lease due checks of `lane` to `worker`, and up to `slots` starts.

    ClaimLimits do not apply to checks, because a provider's work in progress must be finished. Only
    `checking` bounds them, per provider, so that a hanging one does not block the others.
    """
    look = _look(tx, lane)
    if look.is_due(look.delayed):
        _promote(tx, lane)
        look = replace(look, ready=fairness.providers(tx, lane))
    lease_to = _Lease(worker, lease)
    due = _due_checks(tx, lane, checking) if look.is_due(look.waiting) else _Checks([])
    if due.throttled:
        look = replace(look, waiting=None)  # room depends on another check ending, not on time
    found = _lease(tx, due.job_ids, JobStatus.WAITING, lease_to)
    ready = [] if look.paused or slots <= 0 else look.ready
    if not ready:
        return Claimed(found, len(found), look.now, cursor, look.rest(), throttled=due.throttled)
    limited = look.limited or limits != NO_LIMITS
    if limited:
        limiting.lock(tx)
    # `look` is as old as the wait for the lock.
    passages = breakers.passages(tx, ready) if limited or look.held_back else {}
    starts = _start(tx, ready, slots, _Asked(lane, lease_to, limits, cursor), passages)
    rests = [rest for rest in (look.rest(), starts.rest) if rest is not None]
    return Claimed(
        found + starts.jobs,
        len(found),
        look.now,
        starts.cursor,
        min(rests, default=None),
        throttled=starts.throttled or due.throttled,
    )


def renew(tx: Connection, *, worker: str, running: Iterable[Claim], lease: timedelta) -> set[Claim]:
    """Renew the leases of the worker's running jobs; return the claims that it still has.

    Leases of other jobs, such as one whose claim response was lost or that could not be settled,
    expire, so that the janitor finds them.
    """
    mine = _IDS.bind(tx, ({"id": claim.job_id} for claim in running))
    held = tx.execute(_renew_statement(tx.dialect.name, lease), mine | {"worker": worker})
    return {Claim(job_id, fence) for job_id, fence in held}


def take(tx: Connection, job: Job) -> Claim:
    """Take over a waiting or running job that the caller has locked; its former claim is void."""
    if job.status is JobStatus.WAITING:
        (job,) = _lease(tx, [job.id], JobStatus.WAITING, _Lease("", timedelta()))
    return Claim(job.id, job.fence)


def end_all_leases(tx: Connection) -> int:
    """Expire all leases now. Only for a process that is known to be the only one."""
    statement = sa.update(jobs).where(LEASED).values(leased_until=now(timedelta(seconds=-1)))
    return tx.execute(statement).rowcount


@dataclass(frozen=True, slots=True)
class _Look:
    """A lane's state, by the database's clock."""

    now: datetime
    paused: bool
    limited: bool  # an account has its own limit, or a provider is paced
    held_back: bool  # a provider's breaker is shut, on trial or slow
    delayed: datetime | None  # when the first delayed job is due
    waiting: datetime | None  # when the first provider check is due
    ready: list[str]  # the providers with ready work, sorted by name

    def is_due(self, time: datetime | None) -> bool:
        return time is not None and time <= self.now

    def rest(self) -> timedelta | None:
        times = [time for time in (self.delayed, self.waiting) if time is not None]
        return max(min(times) - self.now, timedelta()) if times else None


def _look(tx: Connection, lane: str) -> _Look:
    row = tx.execute(_look_statement(tx.dialect.name), {"lane": lane}).one()
    return _Look(
        row.now,
        row.paused,
        row.limited,
        row.held_back,
        row.delayed,
        row.waiting,
        sorted(row.ready or []),
    )


@cache
def _look_statement(dialect: str) -> Select[*tuple[Any, ...]]:
    lane = sa.bindparam("lane", type_=sa.Text)
    paused = sa.exists().where(paused_lanes.c.name == lane)
    delayed = sa.select(sa.func.min(jobs.c.run_at)).where(DELAYED, jobs.c.lane == lane)
    waiting = sa.select(sa.func.min(jobs.c.run_at)).where(WAITING, jobs.c.lane == lane)
    look = sa.select(
        now().label("now"),
        paused.label("paused"),
        sa.or_(limiting.AN_ACCOUNT_IS_LIMITED, pace.A_PROVIDER_IS_PACED).label("limited"),
        breakers.A_PROVIDER_IS_HELD_BACK.label("held_back"),
        delayed.scalar_subquery().label("delayed"),
        waiting.scalar_subquery().label("waiting"),
        fairness.ready_providers(dialect).label("ready"),
    )
    if dialect == "postgresql":
        # A claim's commit need not be durable: nothing is sent to a provider before the attempt
        # is written, whose durable commit checks the claim's fence. A claim lost in a crash is
        # void: its fence is random, so no other claim has it.
        look = look.add_columns(sa.func.set_config("synchronous_commit", "off", True))
    return look


def _promote(tx: Connection, lane: str) -> None:
    """Mark due delayed jobs as ready, so that claims need not check times."""
    due = (
        sa.select(jobs.c.id)
        .where(DELAYED, jobs.c.lane == lane, jobs.c.run_at <= now())
        .order_by(jobs.c.run_at)
        .limit(_PROMOTE_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    tx.execute(
        sa.update(jobs)
        .where(jobs.c.id.in_(due), jobs.c.status == JobStatus.QUEUED)
        .values(ready=True)
    )


@dataclass(frozen=True, slots=True)
class _Checks:
    """The due checks to claim, and whether a provider's limit leaves some waiting."""

    job_ids: list[str]
    throttled: bool = False


def _due_checks(tx: Connection, lane: str, checking: Checking) -> _Checks:
    busy = Counter(checking.running)
    full = {name for name, count in busy.items() if count >= checking.most}
    chosen: list[str] = []
    while len(chosen) < _CHECKS_AT_ONCE:
        query = (
            sa.select(jobs.c.id, jobs.c.provider)
            .where(WAITING, jobs.c.lane == lane, jobs.c.run_at <= now())
            .where(jobs.c.provider.not_in(sorted(full)), jobs.c.id.not_in(chosen))
            .order_by(jobs.c.run_at)
            .limit(_CHECKS_AT_ONCE - len(chosen))
            .with_for_update(skip_locked=True)
        )
        refused = False
        for row in tx.execute(query):
            if busy[row.provider] < checking.most:
                busy[row.provider] += 1
                chosen.append(row.id)
            else:
                full.add(row.provider)
                refused = True
        if not refused:  # each further query excludes one more provider
            break
    return _Checks(chosen, throttled=bool(full))


@dataclass(frozen=True, slots=True)
class _Lease:
    """The worker and length of a lease."""

    worker: str
    length: timedelta


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parameters of a claim."""

    lane: str
    lease: _Lease
    limits: ClaimLimits
    cursor: Cursor


@dataclass(frozen=True, slots=True)
class _Starts:
    """The claimed ready jobs, and when to retry those that a limit blocked."""

    jobs: list[Job]
    cursor: Cursor
    rest: timedelta
    throttled: bool


def _start(
    tx: Connection,
    ready: list[str],
    slots: int,
    asked: _Asked,
    passages: Mapping[str, breakers.Passage],
) -> _Starts:
    """Claim ready jobs, round-robin by provider and account."""
    served = dict(asked.cursor.accounts)
    last = asked.cursor.provider
    started: list[Job] = []
    again: list[timedelta] = []
    order = [*(name for name in ready if name > last), *(name for name in ready if name <= last)]
    for position, provider in enumerate(order):
        share = -(-(slots - len(started)) // (len(order) - position))
        if not share:
            break
        passage = passages.get(provider, breakers.OPEN)
        if passage.starts is not None:
            share = min(share, passage.starts)
            share = share if share and breakers.begin_trial(tx, provider) else 0
        limit = limiting.slower(asked.limits.providers.get(provider), passage.per_minute)
        room = limiting.room(tx, provider, limit, share)
        again += [wait for wait in (passage.again_in, room.again_in) if wait is not None]
        walk = _Walk(asked.lane, provider, served.get(provider, ""), asked.limits.account)
        found = _walk(tx, walk, room.starts, asked.lease)
        served[provider] = walk.after
        limiting.spend(tx, provider, limit, len(found))
        last = provider if found else last
        started += found
    job_events.tell_started(tx, started)
    throttled = len(started) < slots
    rest = min(again, default=_THROTTLED) if throttled else timedelta()
    return _Starts(started, Cursor(last, served), rest, throttled)


@dataclass(slots=True)
class _Walk:
    """A walk through one provider's accounts, and its position."""

    lane: str
    provider: str
    after: str
    account_limit: int | None


def _walk(tx: Connection, walk: _Walk, slots: int, lease: _Lease) -> list[Job]:
    started: list[Job] = []
    for _ in range(_PAGES_AT_ONCE):
        wanted = slots - len(started)
        if wanted <= 0:
            break
        turn = fairness.next_jobs(
            tx,
            walk.lane,
            walk.provider,
            slots=wanted,
            after=walk.after,
            account_limit=walk.account_limit,
        )
        # Leased page by page, so that an account's room reflects what it was just given.
        started += _lease(tx, turn.job_ids, JobStatus.QUEUED, lease)
        full = len(turn.job_ids) == wanted
        walk.after = (turn.served if full else turn.page_end or turn.served) or walk.after
        if full or turn.page_end is None:
            break
    return started


def _lease(tx: Connection, chosen: list[str], source: JobStatus, lease: _Lease) -> list[Job]:
    """Move `chosen` to running. Provider checks are silent, because users see no change."""
    if not chosen:
        return []
    wanted = _IDS.bind(tx, ({"id": job_id} for job_id in chosen))
    statement = _lease_statement(tx.dialect.name, source, lease.length)
    given = wanted | {"worker": lease.worker, "fence": secrets.randbits(_FENCE_BITS)}
    rows = tx.execute(statement, given).mappings()
    found = {row["id"]: to_job(row) for row in rows}
    return [found[job_id] for job_id in chosen if job_id in found]


# --- the statements of every claim, built once per dialect and lease ----------------------------

_IDS = JsonRows(id=sa.Text)
_WORKER = sa.bindparam("worker", type_=sa.Text)
_FENCE = sa.bindparam("fence", type_=sa.BigInteger)


@cache
def _lease_statement(dialect: str, source: JobStatus, lease: timedelta) -> ReturningUpdate[Any]:
    wanted = _IDS.table(dialect)
    changes: dict[str, Any] = {
        "fence": _FENCE,
        "leased_by": _WORKER,
        "leased_until": now(lease),
    }
    is_check = source is JobStatus.WAITING
    if not is_check:
        changes["stage"] = "starting"
        changes["started_at"] = sa.func.coalesce(jobs.c.started_at, now())
    match = (jobs.c.id == wanted.c.id, jobs.c.status == source)
    return move_statement(Move.CLAIM, match, JobStatus.RUNNING, changes, silent=is_check)


@cache
def _renew_statement(dialect: str, lease: timedelta) -> ReturningUpdate[str, int]:
    mine = _IDS.table(dialect)
    return (
        sa.update(jobs)
        .where(
            jobs.c.id == mine.c.id,
            jobs.c.status == JobStatus.RUNNING,
            jobs.c.leased_by == _WORKER,
        )
        .values(leased_until=now(lease))
        .returning(jobs.c.id, jobs.c.fence)
    )
