"""What can be done with batches: find, look how far, rename, cancel the rest, try failed ones anew.

A service never rings the doorbell: the edge does, after the commit that it sees here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound, WrongState
from safelight.jobs.job import Batch, Job, JobStatus, StaleJob, Tally
from safelight.jobs.ledger import batch_store, moves
from safelight.jobs.service import settle_by_person

_AT_ONCE = 200
_Move = Callable[[Connection, Job], Job | None]


class Batches:
    """The batches of every account; each call names the account that asks."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def page(
        self, account_id: str, *, before: str | None, limit: int
    ) -> list[tuple[Batch, Tally]]:
        """Return the account's batches, newest first, and how far each is."""

        def read(tx: Connection) -> list[tuple[Batch, Tally]]:
            found = batch_store.page(tx, account_id, before=before, limit=limit)
            tallies = batch_store.tallies(tx, found)
            return [(batch, tallies[batch.id]) for batch in found]

        return await self._db.read(read)

    async def tally(self, account_id: str, batch_id: str) -> Tally:
        """Return how far a batch is; raise `NotFound`."""

        def read(tx: Connection) -> Tally:
            return batch_store.tallies(tx, [_existing(tx, account_id, batch_id)])[batch_id]

        return await self._db.read(read)

    async def change(self, account_id: str, batch_id: str, values: Mapping[str, Any]) -> None:
        """Give a batch another name, tags or metadata; raise `NotFound`."""

        def write(tx: Connection) -> None:
            _existing(tx, account_id, batch_id)
            batch_store.change(tx, batch_id, values)

        await self._db.write(write)

    async def cancel(self, account_id: str, batch_id: str) -> list[Job]:
        """End every job of the batch that has not ended; return those."""

        def end(tx: Connection, job: Job) -> Job | None:
            try:
                return moves.cancel(tx, job.id)
            except StaleJob:
                return None  # it has ended meanwhile

        unfinished = (JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.WAITING)
        return await self._each(account_id, batch_id, unfinished, end)

    async def redrive(self, account_id: str, batch_id: str) -> list[Job]:
        """Queue every failed job of the batch anew; return those.

        One whose last attempt is still with its provider is left out, for the next call.
        """

        def again(tx: Connection, job: Job) -> Job | None:
            try:
                settle_by_person(tx, job)
                return moves.redrive(tx, job.id)
            except (StaleJob, WrongState):
                return None

        return await self._each(account_id, batch_id, (JobStatus.FAILED,), again)

    async def _each(
        self,
        account_id: str,
        batch_id: str,
        statuses: Sequence[JobStatus],
        move: _Move,
    ) -> list[Job]:
        """Move jobs some at a time, so that no transaction is long; each is moved once at most."""
        moved: list[Job] = []
        after = -1
        while True:

            def write(tx: Connection, after: int = after) -> tuple[list[Job], list[Job]]:
                _existing(tx, account_id, batch_id)
                found = batch_store.jobs_of(
                    tx, batch_id, statuses=statuses, after=after, limit=_AT_ONCE
                )
                return found, [job for job in (move(tx, each) for each in found) if job]

            found, done = await self._db.write(write)
            moved += done
            if len(found) < _AT_ONCE:
                return moved
            after = found[-1].batch_index or 0


def _existing(tx: Connection, account_id: str, batch_id: str) -> Batch:
    batch = batch_store.get(tx, account_id, batch_id)
    if batch is None:
        raise NotFound("There is no such batch.")
    return batch
