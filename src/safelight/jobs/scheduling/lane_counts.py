"""Counts jobs by lane and provider, at a cost that does not depend on queue length.

Counts of queued jobs stop at `COUNTED`, and every query uses a partial index. Jobs in flight are
counted completely: their number is bounded by the capacity of workers and providers.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, TextClause

from safelight.db.tables import DELAYED, IN_FLIGHT, READY, WAITING, jobs, paused_lanes
from safelight.db.types import now
from safelight.db.upsert import upsert
from safelight.jobs.job import JobStatus
from safelight.jobs.scheduling import fairness
from safelight.providers.provider import Lane

COUNTED = 100_000  # a count that reaches this means "at least"


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many jobs are with a worker, and how many only with their provider."""

    running: int
    waiting: int

    @property
    def total(self) -> int:
        return self.running + self.waiting


@dataclass(frozen=True, slots=True)
class LaneCount:
    """The counts of a lane, by the database's clock."""

    name: str
    paused_at: datetime | None
    ready: int  # can start now
    due_checks: int  # provider checks due now
    delayed: int  # queued for later
    oldest_wait: timedelta | None  # of ready jobs and due checks
    in_flight: InFlight

    @property
    def due(self) -> int:
        """How many jobs wait only for a slot."""
        return self.ready + self.due_checks


@dataclass(frozen=True, slots=True)
class ProviderCount:
    """The counts of a provider, over all lanes."""

    name: str
    ready: int
    in_flight: InFlight


@dataclass(frozen=True, slots=True)
class Flight:
    """The jobs in flight, by lane and by provider."""

    lanes: dict[str, InFlight]
    providers: dict[str, InFlight]


def lane_overview(tx: Connection, flight: Flight) -> list[LaneCount]:
    """Count all known lanes, and any other with jobs or a pause."""
    paused = paused_since(tx)
    names = {*map(str, Lane), *paused, *flight.lanes, *lanes_with(tx, READY, DELAYED, WAITING)}
    return [_count_lane(tx, name, paused.get(name), flight) for name in sorted(names)]


def provider_overview(tx: Connection, flight: Flight) -> list[ProviderCount]:
    """Count all providers with jobs in flight or ready."""
    ready: Counter[str] = Counter()
    for lane in lanes_with(tx, READY):
        for provider in fairness.providers(tx, lane):
            # In index order, to keep the planner from scanning the table.
            of_both = (READY, jobs.c.lane == lane, jobs.c.provider == provider)
            counted = _up_to_the_bound(*of_both, order=jobs.c.account_id)
            ready[provider] += tx.scalar(sa.select(counted)) or 0
    none = InFlight(0, 0)
    return [
        ProviderCount(name, min(ready[name], COUNTED), flight.providers.get(name, none))
        for name in sorted({*ready, *flight.providers})
    ]


def count_in_flight(tx: Connection) -> Flight:
    """Count the jobs in flight."""
    query = (
        sa.select(jobs.c.lane, jobs.c.provider, jobs.c.status, sa.func.count())
        .where(IN_FLIGHT)
        .group_by(jobs.c.lane, jobs.c.provider, jobs.c.status)
    )
    lanes: Counter[tuple[str, str]] = Counter()
    providers: Counter[tuple[str, str]] = Counter()
    for lane, provider, status, count in tx.execute(query):
        lanes[lane, status] += count
        providers[provider, status] += count
    return Flight(_by_name(lanes), _by_name(providers))


def lanes_due(tx: Connection) -> list[str]:
    """Return the lanes with work due now."""
    found = lanes_with(tx, READY)
    checks = sa.exists().where(WAITING, jobs.c.run_at <= now())
    found |= {
        lane
        for lane in lanes_with(tx, WAITING)
        if tx.scalar(sa.select(checks.where(jobs.c.lane == lane)))
    }
    return sorted(found)


def lanes_with(tx: Connection, *conditions: TextClause) -> set[str]:
    """Return the lanes with jobs matching any condition, each of which must be a lane index's."""
    found: set[str] = set()
    for condition in conditions:
        found.update(tx.scalars(_lanes_where(condition)))
    return found


# --- pauses ----------------------------------------------------------------------------------


def paused_since(tx: Connection) -> dict[str, datetime]:
    """Return the paused lanes, and since when."""
    query = sa.select(paused_lanes.c.name, paused_lanes.c.paused_at)
    return {row.name: row.paused_at for row in tx.execute(query)}


def knows(tx: Connection, lane: str) -> bool:
    """Return whether the lane exists: in this version, or with jobs or a pause."""
    if lane in set(Lane) or lane in paused_since(tx):
        return True
    of_lane = [
        sa.exists().where(condition, jobs.c.lane == lane) for condition in (READY, DELAYED, WAITING)
    ]
    return bool(tx.scalar(sa.select(sa.or_(*of_lane))))


def pause(tx: Connection, lane: str) -> datetime:
    """Pause the lane; return since when, which a second pause does not change."""
    row = upsert(tx, paused_lanes).values(name=lane, paused_at=now())
    tx.execute(row.on_conflict_do_nothing())
    return paused_since(tx)[lane]


def resume(tx: Connection, lane: str) -> None:
    """Resume the lane."""
    tx.execute(sa.delete(paused_lanes).where(paused_lanes.c.name == lane))


# --- the counts ------------------------------------------------------------------------------


def _count_lane(tx: Connection, lane: str, paused_at: datetime | None, flight: Flight) -> LaneCount:
    of_lane = jobs.c.lane == lane
    due = (WAITING, of_lane, jobs.c.run_at <= now())
    query = sa.select(
        now().label("now"),
        _up_to_the_bound(READY, of_lane, order=jobs.c.priority.desc()).label("ready"),
        _up_to_the_bound(*due).label("due_checks"),
        _up_to_the_bound(DELAYED, of_lane).label("delayed"),
        _oldest_in_line(lane).label("oldest_ready"),
        _oldest(*due).label("oldest_check"),
    )
    row = tx.execute(query).one()
    since = [at for at in (row.oldest_ready, row.oldest_check) if at is not None]
    return LaneCount(
        name=lane,
        paused_at=paused_at,
        ready=row.ready,
        due_checks=row.due_checks,
        delayed=row.delayed,
        oldest_wait=max(row.now - min(since), timedelta()) if since else None,
        in_flight=flight.lanes.get(lane, InFlight(0, 0)),
    )


def _up_to_the_bound(
    *conditions: TextClause | ColumnElement[bool], order: ColumnElement[object] = jobs.c.run_at
) -> ScalarSelect[int]:
    some = sa.select(jobs.c.lane).where(*conditions).order_by(order).limit(COUNTED).subquery()
    return sa.select(sa.func.count()).select_from(some).scalar_subquery()


def _oldest(*conditions: TextClause | ColumnElement[bool]) -> ScalarSelect[datetime]:
    return sa.select(sa.func.min(jobs.c.run_at)).where(*conditions).scalar_subquery()


def _oldest_in_line(lane: str) -> ScalarSelect[datetime]:
    """Skip-scan the priorities, and take the oldest job of each."""
    ready = (READY, jobs.c.lane == lane)
    order = (jobs.c.priority.desc(), jobs.c.run_at)
    first = sa.select(jobs.c.priority).where(*ready).order_by(*order).limit(1)
    found = sa.select(first.scalar_subquery().label("priority")).cte("urgency", recursive=True)
    below = first.where(jobs.c.priority < found.c.priority).correlate(found).scalar_subquery()
    found = found.union_all(sa.select(below).where(found.c.priority.is_not(None)))
    oldest = (
        sa.select(jobs.c.run_at)
        .where(*ready, jobs.c.priority == found.c.priority)
        .order_by(*order)
        .limit(1)
        .correlate(found)
        .scalar_subquery()
    )
    return sa.select(sa.func.min(oldest)).select_from(found).scalar_subquery()


def _lanes_where(condition: TextClause) -> Select[str]:
    """Skip-scan the lanes in the index of `condition`."""
    next_lane = sa.select(jobs.c.lane).where(condition).order_by(jobs.c.lane).limit(1)
    found = sa.select(next_lane.scalar_subquery().label("lane")).cte("found", recursive=True)
    beyond = next_lane.where(jobs.c.lane > found.c.lane).correlate(found).scalar_subquery()
    found = found.union_all(sa.select(beyond).where(found.c.lane.is_not(None)))
    return sa.select(found.c.lane).where(found.c.lane.is_not(None))


def _by_name(counts: Counter[tuple[str, str]]) -> dict[str, InFlight]:
    return {
        name: InFlight(counts[name, JobStatus.RUNNING], counts[name, JobStatus.WAITING])
        for name in {name for name, _ in counts}
    }
