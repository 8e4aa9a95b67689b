"""Looks for work that was missed: dead workers' jobs, passed deadlines, open ends, lost rings."""

import asyncio
import math
import time
from datetime import timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from safelight import telemetry
from safelight.assets.service import Assets
from safelight.assets.trash import Trash
from safelight.db.engine import Database
from safelight.doorbell import doorbell
from safelight.doorbell.doorbell import Doorbell
from safelight.errors import DeadlinePassed, ServiceError, UnknownModel, WorkerCrashed
from safelight.jobs import attempts, breakers, census, moves
from safelight.jobs.job import MAX_CRASHES, Attempt, Job, Outcome
from safelight.providers.registry import Registry
from safelight.worker.retention import Retention
from safelight.worker.signals import Signals
from safelight.worker.tickets import cancel_at_provider

_log = telemetry.logger(__name__)

_PAGE = 100
_SWEPT_AT_ONCE = 20
_SWEEPS = 10


class Janitor:
    """Runs its rounds until canceled. Any number of copies may run: every write is guarded."""

    def __init__(
        self,
        database: Database,
        bell: Doorbell,
        registry: Registry,
        signals: Signals,
        retention: Retention,
        *,
        assets: Assets,
        trash: Trash,
        interval: timedelta,
        lease: timedelta,
        sole_worker: bool,
    ) -> None:
        self._db = database
        self._bell = bell
        self._registry = registry
        self._signals = signals
        self._retention = retention
        self._assets = assets
        self._trash = trash
        self._interval = interval
        self._lease = lease.total_seconds()
        # Workers could not renew during an outage; they get a whole lease to do so after it. A
        # janitor that knows itself alone with its worker need not wait at its start.
        self._well_since = float("-inf") if sole_worker else time.monotonic()
        self._swept = ""  # the last job looked at, so that stubborn ones hide no other

    async def run(self) -> None:
        """Make a round every interval, for ever."""
        while True:
            began = time.monotonic()
            try:
                await self.round()
                self._well_since = min(self._well_since, began)
            except (SQLAlchemyError, ServiceError, OSError) as error:
                _log.warning("round failed; trying again", error=str(error))
                self._well_since = math.inf
            except Exception:  # noqa: BLE001  nobody else rescues jobs, so this goes on whatever happened
                _log.exception("round failed; trying again")
            rest = self._interval.total_seconds() - (time.monotonic() - began)
            await asyncio.sleep(max(rest, 0.01))

    async def round(self) -> None:
        """Do everything once."""
        if time.monotonic() - self._well_since >= self._lease:
            await self._rescue()
        await self._expire()
        await self._reroute()
        await self._sweep_attempts()
        await self._ring_again()
        await self._signals.publish()
        await self._retention.round()
        await self._assets.expire()
        await self._trash.purge_overdue()
        await self._sweep_objects()

    async def _rescue(self) -> None:
        while moved := await self._db.write(_take_back):
            self._ring_about(moved)
            _log.warning("took jobs back from dead workers", jobs=[job.id for job in moved])
            if len(moved) < _PAGE:
                return

    async def _expire(self) -> None:
        error = DeadlinePassed().problem()
        while True:
            late = await self._db.write(lambda tx: moves.expire(tx, error=error, limit=_PAGE))
            self._ring_about(late)
            if len(late) < _PAGE:
                return

    async def _reroute(self) -> None:
        """Give what waits for a provider that is shut to the next model, where it has one."""
        for breaker in await self._db.read(breakers.unwell):
            name = breaker.provider
            while moved := await self._db.write(
                lambda tx, name=name: moves.reroute(tx, name, limit=_PAGE)
            ):
                self._ring_about(moved)
                if len(moved) < _PAGE:
                    break

    async def _sweep_attempts(self) -> None:
        """Settle what canceled and failed jobs left open at their providers."""
        found = await self._db.read(
            lambda tx: attempts.leftovers(tx, after=self._swept, limit=_SWEPT_AT_ONCE)
        )
        self._swept = found[-1].job_id if len(found) == _SWEPT_AT_ONCE else ""
        canceled = await asyncio.gather(*(self._cancel(attempt) for attempt in found))
        # One that could not be canceled stays open; a later round asks again.
        ended = [attempt for attempt, done in zip(found, canceled, strict=True) if done]
        if ended:
            await self._db.write(lambda tx: _close_all(tx, ended))

    async def _cancel(self, attempt: Attempt) -> bool:
        if attempt.ticket is None:
            return True
        try:
            provider = self._registry.provider(attempt.provider)
        except UnknownModel as error:
            _log.warning("nobody can cancel", attempt=attempt.id, error=error.detail)
            return False
        return await cancel_at_provider(provider, attempt.id, attempt.ticket)

    async def _sweep_objects(self) -> None:
        """Remove bytes that no asset names; storage that is away delays nothing but this."""
        try:
            for _ in range(_SWEEPS):
                if not await self._assets.sweep():
                    return
        except ServiceError as error:
            _log.warning("objects without a row are left for later", error=error.detail)

    async def _ring_again(self) -> None:
        """Ring for whatever is due: a ring may have been lost."""
        for lane in await self._db.read(census.lanes_due):
            self._bell.ring(doorbell.lane(lane))

    def _ring_about(self, moved: list[Job]) -> None:
        for job in moved:
            self._bell.ring(doorbell.subject(job.id), doorbell.lane(job.lane))
            if job.batch_id:
                self._bell.ring(doorbell.subject(job.batch_id))


def _close_all(tx: Connection, ended: list[Attempt]) -> None:
    for attempt in ended:
        attempts.close(tx, attempt.id, Outcome.CANCELED)


def _take_back(tx: Connection) -> list[Job]:
    found = moves.expired_leases(tx, limit=_PAGE)
    hopeless = [job for job in found if job.crashes + 1 >= MAX_CRASHES]
    attempts.let_go(tx, found)
    buried = [moves.bury(tx, job, error=WorkerCrashed().problem()) for job in hopeless]
    return buried + moves.rescue(tx, [job for job in found if job not in hopeless])
