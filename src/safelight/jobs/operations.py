"""Operator actions: inspect, pause and resume lanes; list and redrive dead letters.

Services never ring the doorbell: their callers do, after the commit.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound
from safelight.jobs.errors import NoWorker, ProvidersUnwell
from safelight.jobs.ledger import dead_letters
from safelight.jobs.ledger.dead_letters import Letters, Mark, Redriven, Which
from safelight.jobs.scheduling import breakers, lane_counts, presence
from safelight.jobs.scheduling.breakers import Breaker
from safelight.jobs.scheduling.lane_counts import LaneCount, ProviderCount
from safelight.jobs.scheduling.presence import Process

MOST_REDRIVEN = 10_000  # per call
_AT_ONCE = 100  # per transaction
_MOST_LOOKS = 100  # per call; each scans some thousand dead letters that a filter excludes


@dataclass(frozen=True, slots=True)
class Overview:
    """A snapshot of all lanes, and of all providers with work."""

    lanes: list[LaneCount]
    providers: list[ProviderCount]


@dataclass(frozen=True, slots=True)
class Redrive:
    """How many dead letters were requeued, and the topics to ring."""

    redriven: int
    skipped: int  # their last attempts are not settled yet
    lanes: frozenset[str]
    batch_ids: frozenset[str]
    last: Mark | None  # the cursor for the next call; None at the end of the list


class Operations:
    """Operator actions of this installation."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # --- lanes -------------------------------------------------------------------------------

    async def overview(self) -> Overview:
        """Return the counts of each lane and provider."""

        def read(tx: Connection) -> Overview:
            flight = lane_counts.count_in_flight(tx)
            return Overview(
                lane_counts.lane_overview(tx, flight), lane_counts.provider_overview(tx, flight)
            )

        return await self._db.read(read)

    async def unwell(self) -> list[Breaker]:
        """Return the providers whose breaker is shut or on trial."""
        return await self._db.read(breakers.unwell)

    async def check_providers(self) -> None:
        """Raise `ProvidersUnwell` while any provider's breaker is not open to all jobs."""
        found = await self.unwell()
        if found:
            words = "; ".join(each.advice() for each in found)
            raise ProvidersUnwell(f"Left alone for a while: {words}.")

    # --- workers -----------------------------------------------------------------------------

    async def processes(self) -> list[Process]:
        """Return the processes that do the work, also those that died within a day."""
        return await self._db.read(presence.all_known)

    async def check_workers(self) -> str:
        """Return which processes are alive; raise `NoWorker` if a lane with work has none."""

        def read(tx: Connection) -> tuple[list[Process], list[str]]:
            return presence.all_known(tx), presence.unserved(tx)

        known, lanes = await self._db.read(read)
        if lanes:
            names = ",".join(lanes)
            raise NoWorker(
                f"No worker serves lane {names}, where work waits: start one with "
                f"`safelight worker --lanes {names}`."
            )
        roles = Counter(role for each in known if each.alive for role in each.roles)
        return ", ".join(f"{count} {role}" for role, count in sorted(roles.items())) or "none alive"

    async def pause(self, lane: str) -> datetime:
        """Pause a lane, and return since when; its running jobs continue."""

        def write(tx: Connection) -> datetime:
            _check_lane(tx, lane)
            return lane_counts.pause(tx, lane)

        return await self._db.write(write)

    async def resume(self, lane: str) -> None:
        """Resume a lane."""

        def write(tx: Connection) -> None:
            _check_lane(tx, lane)
            lane_counts.resume(tx, lane)

        await self._db.write(write)

    # --- dead letters ------------------------------------------------------------------------

    async def dead_letters(self, which: Which, *, after: Mark | None, limit: int) -> Letters:
        """Return failed jobs, newest first."""
        return await self._db.read(
            lambda tx: dead_letters.page(tx, which, after=after, limit=limit)
        )

    async def redrive(self, which: Which, *, after: Mark | None = None, limit: int) -> Redrive:
        """Requeue up to `limit` dead letters, newest first, a hundred per transaction.

        If the filter excludes very many, the call ends early.

        Committed parts stand if a later one fails: those jobs are no longer dead letters, so a
        repeated call continues where it stopped.
        """
        redriven = skipped = 0
        lanes: set[str] = set()
        batch_ids: set[str] = set()
        mark = after
        for _ in range(_MOST_LOOKS):
            part = await self._redrive_page(which, mark, min(limit - redriven, _AT_ONCE))
            redriven += len(part.jobs)
            skipped += part.skipped
            lanes.update(job.lane for job in part.jobs)
            batch_ids.update(job.batch_id for job in part.jobs if job.batch_id)
            mark = part.last
            if mark is None or redriven == limit:
                break
        return Redrive(redriven, skipped, frozenset(lanes), frozenset(batch_ids), mark)

    async def _redrive_page(self, which: Which, after: Mark | None, limit: int) -> Redriven:
        return await self._db.write(
            lambda tx: dead_letters.redrive_page(tx, which, after=after, limit=limit)
        )


def _check_lane(tx: Connection, lane: str) -> None:
    if not lane_counts.knows(tx, lane):
        raise NotFound("There is no such lane.")
