"""Looks for work that was missed: dead workers' jobs, passed deadlines, open ends, lost rings."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from safelight import telemetry
from safelight.accounts import store as account_store
from safelight.db.engine import Database
from safelight.doorbell import doorbell
from safelight.doorbell.doorbell import Doorbell
from safelight.errors import DeadlinePassed, SafelightError, ServiceError, WorkerCrashed
from safelight.jobs import attempts, idempotency, store
from safelight.jobs.job import MAX_CRASHES, Attempt, Job, Outcome
from safelight.providers.registry import Registry

_log = telemetry.logger(__name__)

_PAGE = 100
_IDEMPOTENCY_KEPT = timedelta(days=1)
_KEYS_KEPT = timedelta(days=30)


class Janitor:
    """Runs its rounds until canceled. Any number of copies may run: every write is guarded."""

    def __init__(
        self,
        database: Database,
        bell: Doorbell,
        registry: Registry,
        *,
        interval: timedelta,
        lease: timedelta,
        sole_worker: bool,
    ) -> None:
        self._db = database
        self._bell = bell
        self._registry = registry
        self._interval = interval
        self._lease = lease.total_seconds()
        # Workers could not renew during an outage; they get a whole lease to do so after it. A
        # janitor that knows itself alone with its worker need not wait at its start.
        self._well_since = float("-inf") if sole_worker else time.monotonic()

    async def run(self) -> None:
        """Make a round every interval, for ever."""
        while True:
            began = time.monotonic()
            try:
                await self.round()
            except (SQLAlchemyError, ServiceError, OSError) as error:
                _log.warning("round failed; trying again", error=str(error))
                self._well_since = time.monotonic()
            rest = self._interval.total_seconds() - (time.monotonic() - began)
            await asyncio.sleep(max(rest, 0.01))

    async def round(self) -> None:
        """Do everything once."""
        if time.monotonic() - self._well_since >= self._lease:
            await self._rescue()
        await self._expire()
        await self._sweep_attempts()
        await self._forget()
        await self._ring_and_measure()

    async def _rescue(self) -> None:
        moved = await self._db.write(_take_back)
        while moved:
            self._ring_about(moved)
            _log.warning("took jobs back from dead workers", jobs=[job.id for job in moved])
            if len(moved) < _PAGE:
                return
            moved = await self._db.write(_take_back)

    async def _expire(self) -> None:
        error = DeadlinePassed().problem()
        late = await self._db.write(lambda tx: store.expire(tx, error=error, limit=_PAGE))
        self._ring_about(late)

    async def _sweep_attempts(self) -> None:
        """Settle what canceled and failed jobs left open at their providers."""
        for attempt, _ in await self._db.read(lambda tx: attempts.leftovers(tx, limit=_PAGE)):
            await self._settle(attempt)

    async def _settle(self, attempt: Attempt) -> None:
        if attempt.ticket is not None:
            try:
                await self._registry.provider(attempt.provider).cancel(attempt.ticket)
            except SafelightError as error:
                _log.warning("provider did not cancel", attempt=attempt.id, code=error.code)
                return  # stays open; the next round asks again
        await self._db.write(
            lambda tx: attempts.close(
                tx, attempt.id, Outcome.CANCELED, cost_micros=attempt.cost_micros
            )
        )

    async def _forget(self) -> None:
        today = datetime.now(UTC)
        await self._db.write(
            lambda tx: (
                idempotency.forget(tx, before=today - _IDEMPOTENCY_KEPT, limit=_PAGE),
                account_store.delete_expired_keys(tx, before=today - _KEYS_KEPT, limit=_PAGE),
            )
        )

    async def _ring_and_measure(self) -> None:
        """Ring again for whatever is due: a ring may have been lost."""
        lanes = await self._db.read(store.lanes_with_work)
        for lane, (depth, oldest) in lanes.items():
            self._bell.ring(doorbell.lane(lane))
            telemetry.QUEUE_DEPTH.labels(lane).set(depth)
            age = (datetime.now(UTC) - oldest).total_seconds()
            telemetry.OLDEST_WAIT.labels(lane).set(max(age, 0))
        for lane in self._measured - set(lanes):
            telemetry.QUEUE_DEPTH.labels(lane).set(0)
            telemetry.OLDEST_WAIT.labels(lane).set(0)
        self._measured = self._measured | set(lanes)

    _measured: frozenset[str] = frozenset()

    def _ring_about(self, moved: list[Job]) -> None:
        for job in moved:
            self._bell.ring(doorbell.subject(job.id), doorbell.lane(job.lane))
            if job.batch_id:
                self._bell.ring(doorbell.subject(job.batch_id))


def _take_back(tx: Connection) -> list[Job]:
    found = store.expired_leases(tx, limit=_PAGE)
    hopeless = [job for job in found if job.crashes + 1 >= MAX_CRASHES]
    attempts.let_go(tx, found)
    buried = [store.bury(tx, job, error=WorkerCrashed().problem()) for job in hopeless]
    return buried + store.rescue(tx, [job for job in found if job not in hopeless])
