"""Recovers missed work: expired leases, deadlines and timeouts, open attempts, lost rings."""

import asyncio
import math
import time
from datetime import datetime, timedelta

from safelight import telemetry
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.service import Assets
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.db.types import clock
from safelight.doorbell import doorbell
from safelight.doorbell.doorbell import Doorbell
from safelight.errors import ServiceError
from safelight.jobs.errors import DeadlinePassed, WorkerCrashed
from safelight.jobs.job import MAX_CRASHES, Attempt, Ground, Job, Outcome
from safelight.jobs.ledger import attempts, moves
from safelight.jobs.ledger.attempts import Closing
from safelight.jobs.scheduling import breakers, lane_counts, presence
from safelight.jobs.topics import topics_of
from safelight.providers.errors import UnknownModel
from safelight.providers.provider import Absent, Canceled, Provider
from safelight.providers.registry import Registry
from safelight.worker.attempt.request import lost_start
from safelight.worker.attempt.tickets import cancel_at_provider, find_at_provider
from safelight.worker.rounds import OUTAGE, guarded
from safelight.worker.upkeep.departures import Departures
from safelight.worker.upkeep.metrics import Signals
from safelight.worker.upkeep.retention import Retention

_log = telemetry.logger(__name__)

_PAGE = 100
_SWEPT_AT_ONCE = 20
_PATIENT_CANCELS = 4  # cancel requests after which the wait grows by an interval
_LONGEST_PAUSE = timedelta(minutes=1)
_NOBODY_TELLS = timedelta(days=1)  # only a callback or a person can still resolve it
_SWEEPS = 10


class Janitor:
    """Runs its rounds until canceled. Any number can run: every write is guarded."""

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
        self._departures = Departures(database, bell, assets, trash)
        self._interval = interval
        self._lease = lease
        # Workers cannot renew during an outage, so they get a full lease afterwards. A janitor
        # with the sole worker need not wait at startup.
        self._well_since = float("-inf") if sole_worker else time.monotonic()
        self._last_round: tuple[float, datetime] | None = None  # by both clocks

    async def run(self) -> None:
        """Run a round every interval, forever."""
        while True:
            began = time.monotonic()
            result = await guarded(self.round, _log)
            if result is None:
                self._well_since = min(self._well_since, began)
            elif isinstance(result, OUTAGE):
                self._well_since = math.inf
            rest = self._interval.total_seconds() - (time.monotonic() - began)
            await asyncio.sleep(max(rest, 0.01))

    async def round(self) -> None:
        """Do all tasks once."""
        if await self._is_late():
            # This process was suspended, or a clock changed: let its own worker renew first.
            self._well_since = time.monotonic()
        if time.monotonic() - self._well_since >= self._lease.total_seconds():
            await self._rescue()
        await self._expire()
        await self._end_waits()
        await self._reroute()
        await self._sweep_attempts()
        await self._ring_again()
        await self._db.write(presence.forget_gone)
        await self._signals.publish()
        await self._retention.round()
        await self._assets.expire()
        await self._trash.purge_overdue()
        await self._departures.round()
        await self._sweep_objects()

    async def _is_late(self) -> bool:
        """Return whether far more than an interval has passed since the last round.

        Checks both clocks, because suspending the machine stops the monotonic one.
        """
        at = await self._db.read(clock)
        last, self._last_round = self._last_round, (time.monotonic(), at)
        if last is None:
            return False
        passed = max(timedelta(seconds=time.monotonic() - last[0]), at - last[1])
        return passed > self._interval + self._lease / 2

    async def _rescue(self) -> None:
        while moved := await self._db.write(_take_back):
            self._ring_about(moved)
            _log.warning("rescued jobs from dead workers", jobs=[job.id for job in moved])
            if kept := [job.id for job in moved if job.crashes >= MAX_CRASHES and not job.is_final]:
                _log.error("jobs crash their workers and wait for their providers", jobs=kept)
            if len(moved) < _PAGE:
                return

    async def _expire(self) -> None:
        error = DeadlinePassed().problem()
        while True:
            late = await self._db.write(lambda tx: moves.expire(tx, error=error, limit=_PAGE))
            self._ring_about(late)
            if len(late) < _PAGE:
                return

    async def _end_waits(self) -> None:
        while ended := await self._db.write(lambda tx: moves.end_waits(tx, limit=_PAGE)):
            self._ring_about(ended)
            if len(ended) < _PAGE:
                return

    async def _reroute(self) -> None:
        """Move jobs that wait for a tripped provider to their fallback models."""
        unwell = await self._db.read(breakers.unwell)
        for name in (breaker.provider for breaker in unwell if breaker.is_left):
            while moved := await self._db.write(
                lambda tx, name=name: moves.reroute(tx, name, limit=_PAGE)
            ):
                self._ring_about(moved)
                if len(moved) < _PAGE:
                    break

    async def _sweep_attempts(self) -> None:
        """Cancel or resolve attempts that final jobs left open, until confirmed."""
        found = await self._db.read(lambda tx: attempts.leftovers(tx, limit=_SWEPT_AT_ONCE))
        await asyncio.gather(*(self._reconcile(attempt) for attempt in found))

    async def _reconcile(self, attempt: Attempt) -> None:
        """Cancel the attempt, or look up the ticket needed for that."""
        try:
            provider = self._registry.provider(attempt.provider)
        except UnknownModel as error:
            _log.warning(
                "attempt cannot be canceled: provider not installed",
                attempt=attempt.id,
                error=error.detail,
            )
            await self._postpone(attempt, _LONGEST_PAUSE, asked=attempt.ticket is not None)
            return
        if attempt.ticket is None:
            await self._look_up(attempt, provider)
            return
        answer = await cancel_at_provider(provider, attempt.id, attempt.ticket)
        if answer is None or not answer.confirmed:
            pause = self._interval * max((attempt.cancels + 1) / _PATIENT_CANCELS, 1)
            await self._postpone(attempt, min(pause, _LONGEST_PAUSE), asked=True)
            return
        await self._db.write(lambda tx: self._confirm(tx, attempt, answer))

    def _confirm(self, tx: Connection, attempt: Attempt, answer: Canceled) -> None:
        """Close the attempt with its cost, unless another ticket was stored meanwhile."""
        cost = answer.cost_micros
        found = attempts.with_job(tx, attempt.id)
        price = self._registry.price(found[1].model) if found else None
        if cost is None and price is not None:
            cost = price.of_use(answer.usage)
        closing = Closing(Outcome.CANCELED, Ground.CANCELED, cost_micros=cost)
        attempts.close(tx, attempt.id, closing, ticket=attempt.ticket)

    async def _look_up(self, attempt: Attempt, provider: Provider) -> None:
        found = await self._db.read(lambda tx: attempts.with_job(tx, attempt.id))
        if found is None:
            return
        _, job, at = found
        if job.repeatable:  # nothing was paid for, and no lookup can tell more
            closing = Closing(Outcome.CANCELED, Ground.REPEATABLE)
            await self._db.write(lambda tx: attempts.close(tx, attempt.id, closing))
            return
        if at >= attempt.created_at + max(provider.adopts_within, job.timeout):
            await self._postpone(attempt, _NOBODY_TELLS, asked=False)
            return
        may_be_on_its_way = at < (attempt.unknown_at or job.finished_at or at) + self._lease
        match await find_at_provider(provider, lost_start(job, attempt)):
            case str() as ticket:
                await self._db.write(lambda tx: _adopt(tx, attempt, ticket))
            case Absent.ABSENT | None if may_be_on_its_way:
                await self._postpone(attempt, self._interval, asked=False)
            case Absent.ABSENT:
                closing = Closing(Outcome.CANCELED, Ground.ABSENT)
                await self._db.write(lambda tx: attempts.close(tx, attempt.id, closing))
            case None:
                # Its worker may be dead, and then nobody else would say so.
                await self._db.write(lambda tx: attempts.lose_sight(tx, attempt.id))
                await self._postpone(attempt, _LONGEST_PAUSE, asked=False)

    async def _postpone(self, attempt: Attempt, wait: timedelta, *, asked: bool) -> None:
        await self._db.write(lambda tx: attempts.postpone(tx, attempt, wait, asked=asked))

    async def _sweep_objects(self) -> None:
        """Remove unreferenced objects; a storage outage delays only this."""
        try:
            for _ in range(_SWEEPS):
                if not await self._assets.sweep():
                    return
        except ServiceError as error:
            _log.warning("unreferenced objects not removed; retrying later", error=error.detail)

    async def _ring_again(self) -> None:
        """Ring all lanes with due work, because rings may have been lost."""
        for lane in await self._db.read(lane_counts.lanes_due):
            self._bell.ring(doorbell.lane(lane))

    def _ring_about(self, moved: list[Job]) -> None:
        if moved:
            self._bell.ring(*topics_of(moved))


def _adopt(tx: Connection, attempt: Attempt, ticket: str) -> None:
    if attempts.has_ticket(tx, attempt, ticket):
        attempts.postpone(tx, attempt, _LONGEST_PAUSE, asked=False)
    else:
        attempts.keep_tickets(tx, [(attempt.id, ticket)])


def _take_back(tx: Connection) -> list[Job]:
    found = moves.expired_leases(tx, limit=_PAGE)
    attempts.let_go(tx, found)
    # A job with an open attempt is never buried: the work may be paid for.
    is_open = attempts.open_of(tx, [job.id for job in found])
    hopeless = [job for job in found if job.crashes + 1 >= MAX_CRASHES and job.id not in is_open]
    buried = [moves.bury(tx, job, error=WorkerCrashed().problem()) for job in hopeless]
    return buried + moves.rescue(tx, [job for job in found if job not in hopeless])
