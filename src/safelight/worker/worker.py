"""Hears the doorbell, claims what its lanes have room for, keeps leases and stops gracefully."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from safelight import ids, telemetry
from safelight.db.engine import Database
from safelight.doorbell import doorbell
from safelight.doorbell.doorbell import Bell, Doorbell
from safelight.errors import ServiceError
from safelight.jobs import attempts, claims, store
from safelight.jobs.job import Job, StaleJob
from safelight.jobs.store import Claim
from safelight.worker.run import Runner

_log = telemetry.logger(__name__)

_OUTAGE = (SQLAlchemyError, ServiceError, OSError)
_MOST_AT_ONCE = 100
_LEAST_REST = timedelta(milliseconds=20)  # between two claims that brought nothing


@dataclass(frozen=True, slots=True)
class WorkerRules:
    """How many jobs of each lane run here at once, and the worker's rhythm."""

    slots: Mapping[str, int]
    lease: timedelta
    look_every: timedelta  # without a ring
    grace: timedelta


class _Lane:
    """The slots of one lane, and the event that one of them was freed."""

    def __init__(self, name: str, slots: int) -> None:
        self.name = name
        self.free = slots
        self.changed = asyncio.Event()

    def give_back(self) -> None:
        self.free += 1
        self.changed.set()


class Worker:
    """Runs jobs until `stop` is set."""

    def __init__(
        self, database: Database, bell: Doorbell, runner: Runner, rules: WorkerRules
    ) -> None:
        self.id = ids.new("worker")
        self._db = database
        self._bell = bell
        self._runner = runner
        self._rules = rules
        self._running: dict[Claim, asyncio.Task[None]] = {}
        self._lanes = [_Lane(name, slots) for name, slots in rules.slots.items()]
        self._stopping = False

    def stop(self) -> None:
        """Claim nothing more; `run` returns when what runs has ended, or its grace is over."""
        self._stopping = True
        for lane in self._lanes:
            lane.changed.set()
            self._bell.ring(doorbell.lane(lane.name))

    async def run(self) -> None:
        """Serve every lane until stopped, then hand back what did not finish in time."""
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._keep_leases())
            async with asyncio.TaskGroup() as serving:
                for lane in self._lanes:
                    serving.create_task(self._serve(lane, group))
            await self._finish()
            keeper.cancel()

    async def _serve(self, lane: _Lane, group: asyncio.TaskGroup) -> None:
        cursor = ""
        with self._bell.listen(doorbell.lane(lane.name)) as bell:
            while not self._stopping:
                if not lane.free:
                    lane.changed.clear()
                    await lane.changed.wait()
                    continue
                room = min(lane.free, _MOST_AT_ONCE)
                claimed = await self._claim(lane.name, room, cursor)
                if claimed is None:
                    await bell.wait(self._rules.look_every)
                    continue
                cursor = claimed.cursor
                for job in claimed.jobs:
                    self._start(job, lane, group)
                if not claimed.jobs:
                    await self._idle(bell, lane.name)

    async def _claim(self, lane: str, room: int, cursor: str) -> claims.Claimed | None:
        try:
            return await self._db.write(
                lambda tx: claims.claim(
                    tx,
                    worker=self.id,
                    lane=lane,
                    slots=room,
                    lease=self._rules.lease,
                    cursor=cursor,
                )
            )
        except _OUTAGE as error:
            _log.warning("claim failed; trying again", lane=lane, error=str(error))
            return None

    async def _idle(self, bell: Bell, lane: str) -> None:
        """Sleep until a ring, the next due time, or the interval, whichever comes first."""
        wait = self._rules.look_every
        try:
            due = await self._db.read(lambda tx: claims.next_due(tx, lane))
        except _OUTAGE:
            due = None
        if due is not None:
            wait = min(wait, max(due, _LEAST_REST))
        await bell.wait(wait)

    def _start(self, job: Job, lane: _Lane, group: asyncio.TaskGroup) -> None:
        claim = Claim(job.id, job.claim_no)
        lane.free -= 1
        telemetry.RUNNING.labels(lane.name).inc()
        task = group.create_task(self._run(job, claim, lane))
        self._running[claim] = task

    async def _run(self, job: Job, claim: Claim, lane: _Lane) -> None:
        with structlog.contextvars.bound_contextvars(job_id=job.id, account_id=job.account_id):
            try:
                await self._runner.run(job)
            except StaleJob:
                _log.info("job was moved by somebody else")
            except asyncio.CancelledError:
                _log.info("job let go")  # canceled, taken over, or the grace period is over
            except _OUTAGE as error:
                # Nothing could be written: the lease runs out and the janitor takes the job back.
                _log.warning("job could not be settled", error=str(error))
            except Exception:  # noqa: BLE001  one job must not end all; this one is buried
                _log.exception("job could not be settled")
            finally:
                del self._running[claim]
                lane.give_back()
                telemetry.RUNNING.labels(lane.name).dec()

    async def _keep_leases(self) -> None:
        """Renew all leases at a third of their length, and let go of jobs no longer ours."""
        with self._bell.listen(doorbell.HALT) as bell:
            while True:
                await bell.wait(self._rules.lease / 3)
                mine = dict(self._running)
                held = await self._renew(mine)
                if held is None:
                    continue
                for claim, task in mine.items():
                    if claim not in held:
                        task.cancel()

    async def _renew(self, mine: Mapping[Claim, asyncio.Task[None]]) -> set[Claim] | None:
        """Return which of `mine` are still ours; None when that cannot be known now."""
        try:
            return await self._db.write(
                lambda tx: claims.renew(
                    tx, worker=self.id, running=mine.keys(), lease=self._rules.lease
                )
            )
        except _OUTAGE as error:
            _log.warning("leases not renewed", error=str(error))
            return None

    async def _finish(self) -> None:
        """Give what runs its grace period, then cancel it and hand it back."""
        tasks = set(self._running.values())
        if not tasks:
            return
        _log.info("stopping", running=len(tasks), grace_s=self._rules.grace.total_seconds())
        _, late = await asyncio.wait(tasks, timeout=self._rules.grace.total_seconds())
        if not late:
            return
        unfinished = list(self._running)
        for task in late:
            task.cancel()
        await asyncio.wait(late)
        try:
            released = await self._db.write(lambda tx: _hand_back(tx, unfinished))
        except _OUTAGE as error:
            _log.warning("jobs not handed back; their leases will run out", error=str(error))
            return
        for job in released:
            self._bell.ring(doorbell.lane(job.lane), doorbell.subject(job.id))


def _hand_back(tx: Connection, unfinished: list[Claim]) -> list[Job]:
    held: list[Job] = []
    for claim in unfinished:
        with suppress(StaleJob):
            held.append(store.held(tx, claim))
    attempts.let_go(tx, held)
    return store.release(tx, [Claim(job.id, job.claim_no) for job in held])
