"""Forgets what is old: events, then ended jobs, then empty batches; a little in each round."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from sqlalchemy import Connection

from safelight import telemetry
from safelight.db.engine import Database
from safelight.jobs import old_rows
from safelight.jobs.old_rows import Mark, Swept

_log = telemetry.logger(__name__)

_PAGE = 500  # rows in a transaction


class Sweep(Protocol):
    """Removes what is old among the rows behind a mark."""

    def __call__(
        self, tx: Connection, *, kept: timedelta, after: Mark | None, limit: int
    ) -> Swept: ...


@dataclass(slots=True)
class _Walk:
    """How far one kind of rows has been looked at; begins anew at its end."""

    what: str
    sweep: Sweep
    kept: timedelta
    mark: Mark | None = None


class Retention:
    """Keeps events and jobs as long as it is told; None is for ever. Any number may run.

    Outputs of jobs that are gone stay, as their addresses are for good. What is kept must outlast
    idempotency keys, which name jobs.
    """

    def __init__(
        self,
        database: Database,
        *,
        events_kept: timedelta | None,
        jobs_kept: timedelta | None,
        pages: int = 10,
    ) -> None:
        """Look at `pages` pages of each kind in a round, so that it ends soon."""
        self._db = database
        self._pages = pages
        self._walks: list[_Walk] = []
        if events_kept is not None:
            self._walks.append(_Walk("events", old_rows.sweep_events, events_kept))
        if jobs_kept is not None:
            self._walks.append(_Walk("jobs", old_rows.sweep_jobs, jobs_kept))
            self._walks.append(_Walk("batches", old_rows.sweep_batches, jobs_kept))

    async def round(self) -> None:
        """Go on with each kind for a few pages."""
        for walk in self._walks:
            removed = await self._go_on(walk)
            if removed:
                _log.info("removed old rows", what=walk.what, count=removed)

    async def _go_on(self, walk: _Walk) -> int:
        removed = 0
        for _ in range(self._pages):
            swept = await self._look(walk)
            removed += swept.removed
            walk.mark = swept.last
            if walk.mark is None:
                break
        return removed

    async def _look(self, walk: _Walk) -> Swept:
        return await self._db.write(
            lambda tx: walk.sweep(tx, kept=walk.kept, after=walk.mark, limit=_PAGE)
        )
