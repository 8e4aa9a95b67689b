"""What an operator does: look at lanes, pause and resume them, and bring dead letters back.

A service never rings the doorbell: the edge does, after the commit that it sees here.
"""

from dataclasses import dataclass
from datetime import datetime

from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound
from safelight.jobs.errors import ProvidersUnwell
from safelight.jobs.ledger import dead_letters
from safelight.jobs.ledger.dead_letters import Letters, Mark, Redriven, Which
from safelight.jobs.scheduling import breakers, lane_counts
from safelight.jobs.scheduling.breakers import Breaker
from safelight.jobs.scheduling.lane_counts import LaneCount, ProviderCount

MOST_REDRIVEN = 10_000  # a call
_AT_ONCE = 100  # a transaction
_MOST_LOOKS = 100  # a call; of letters that a filter leaves out, each passes some thousand


@dataclass(frozen=True, slots=True)
class Overview:
    """All lanes and all providers that have work, at one moment."""

    lanes: list[LaneCount]
    providers: list[ProviderCount]


@dataclass(frozen=True, slots=True)
class Redrive:
    """How many dead letters were queued anew, and what is to be rung for."""

    redriven: int
    skipped: int  # their last attempts are still being settled
    lanes: frozenset[str]
    batch_ids: frozenset[str]
    last: Mark | None  # where the next call goes on; None where the list has ended


class Operations:
    """The lanes and dead letters of this installation."""

    def __init__(self, database: Database) -> None:
        self._db = database

    # --- lanes -------------------------------------------------------------------------------

    async def overview(self) -> Overview:
        """Return what stands in each lane and at each provider."""

        def read(tx: Connection) -> Overview:
            flight = lane_counts.count_in_flight(tx)
            return Overview(
                lane_counts.lane_overview(tx, flight), lane_counts.provider_overview(tx, flight)
            )

        return await self._db.read(read)

    async def unwell(self) -> list[Breaker]:
        """Return the providers that are left alone for a while, or on trial."""
        return await self._db.read(breakers.unwell)

    async def check_providers(self) -> None:
        """Raise `ProvidersUnwell` while any provider is left alone."""
        found = await self.unwell()
        if found:
            words = "; ".join(each.advice() for each in found)
            raise ProvidersUnwell(f"Left alone for a while: {words}.")

    async def pause(self, lane: str) -> datetime:
        """Let a lane start nothing more, and return since when; what runs there goes on."""

        def write(tx: Connection) -> datetime:
            _check_lane(tx, lane)
            return lane_counts.pause(tx, lane)

        return await self._db.write(write)

    async def resume(self, lane: str) -> None:
        """Let a lane start jobs again."""

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
        """Queue up to `limit` dead letters anew, newest first, a hundred in a transaction.

        Where the filter leaves very many out, the call ends before the list does.

        What has been committed stands if a later part fails: those are no dead letters any more,
        so that the same call goes on where it ended.
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
