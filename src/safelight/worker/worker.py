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
from safelight.doorbell.doorbell import Doorbell
from safelight.errors import ServiceError
from safelight.jobs import attempts, claims, moves
from safelight.jobs.job import Claim, Job, StaleJob
from safelight.jobs.limits import NO_LIMITS, Limits
from safelight.worker.run import Runner
from safelight.worker.under_way import Hold, Run

_log = telemetry.logger(__name__)

_OUTAGE = (SQLAlchemyError, ServiceError, OSError)
_MOST_AT_ONCE = 500
_STILL_HERE_S = 1.0
_LEAST_REST = timedelta(milliseconds=20)  # between two claims that brought nothing


@dataclass(frozen=True, slots=True)
class WorkerRules:
    """How many jobs of each lane run here at once, and the worker's rhythm."""

    slots: Mapping[str, int]
    lease: timedelta
    look_every: timedelta  # without a ring
    grace: timedelta
    limits: Limits = NO_LIMITS


class _Lane:
    """The slots of one lane, and the event that one of them was freed."""

    def __init__(self, name: str, slots: int) -> None:
        self.name = name
        self.free = slots
        self.changed = asyncio.Event()
        self.cursor = claims.START
        self.held_back = False  # a limit kept ready work from the last claim


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
        self._running: dict[Claim, tuple[Run, asyncio.Task[None]]] = {}
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
        with self._bell.listen(doorbell.lane(lane.name)) as bell:
            while not self._stopping:
                if not lane.free:
                    lane.changed.clear()
                    await lane.changed.wait()
                    continue
                claimed = await self._claim(lane)
                if claimed is None:
                    await bell.wait(self._rules.look_every)
                    continue
                if self._stopping:
                    await self._hand_back([_claim_of(job) for job in claimed.jobs])
                    return
                lane.cursor, lane.held_back = claimed.cursor, claimed.held_back
                for job in claimed.jobs:
                    self._start(job, lane, group)
                if not claimed.jobs:
                    await bell.wait(self._rest(claimed))

    async def _claim(self, lane: _Lane) -> claims.Claimed | None:
        room = min(lane.free, _MOST_AT_ONCE)
        try:
            return await self._db.write(
                lambda tx: claims.claim(
                    tx,
                    worker=self.id,
                    lane=lane.name,
                    slots=room,
                    lease=self._rules.lease,
                    limits=self._rules.limits,
                    cursor=lane.cursor,
                )
            )
        except _OUTAGE as error:
            _log.warning("claim failed; trying again", lane=lane.name, error=str(error))
            return None

    def _rest(self, claimed: claims.Claimed) -> timedelta:
        """Return how long to sleep for want of a ring: until something is due, or the interval."""
        if claimed.rest is None:
            return self._rules.look_every
        return min(self._rules.look_every, max(claimed.rest, _LEAST_REST))

    def _start(self, job: Job, lane: _Lane, group: asyncio.TaskGroup) -> None:
        claim, run = _claim_of(job), Run(job)
        lane.free -= 1
        telemetry.RUNNING.labels(lane.name).inc()
        self._running[claim] = run, group.create_task(self._run(run, claim, lane))

    async def _run(self, run: Run, claim: Claim, lane: _Lane) -> None:
        job = run.job
        with structlog.contextvars.bound_contextvars(job_id=job.id, account_id=job.account_id):
            try:
                await self._runner.run(run)
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
                self._give_back(lane)

    def _give_back(self, lane: _Lane) -> None:
        lane.free += 1
        lane.changed.set()
        telemetry.RUNNING.labels(lane.name).dec()
        if lane.held_back:  # there is room within the limit now, here or at another worker
            self._bell.ring(doorbell.lane(lane.name))

    async def _keep_leases(self) -> None:
        """Renew all leases at a third of their length, and let go of jobs no longer ours."""
        with self._bell.listen(doorbell.HALT) as bell:
            while True:
                await bell.wait(self._rules.lease / 3)
                mine = dict(self._running)
                held = await self._renew(mine)
                if held is None:
                    continue
                for claim, (_, task) in mine.items():
                    if claim not in held:
                        task.cancel()

    async def _renew(self, mine: Mapping[Claim, object]) -> set[Claim] | None:
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
        """End what runs as each run allows: at once, after its grace, or when its call is over."""
        if not self._running:
            return
        grace_s = self._rules.grace.total_seconds()
        _log.info("stopping", running=len(self._running), grace_s=grace_s)
        await self._let_go({Hold.RESUMABLE})
        await self._wait_at_most(grace_s)
        await self._let_go({Hold.RESUMABLE, Hold.REPEATABLE})
        # What is left may be paid for and cannot be asked for again: its own time limit ends it.
        while self._running:
            await self._wait_at_most(_STILL_HERE_S)
            await self._let_go({Hold.RESUMABLE, Hold.REPEATABLE})

    async def _wait_at_most(self, seconds: float) -> None:
        if tasks := [task for _, task in self._running.values()]:
            await asyncio.wait(tasks, timeout=seconds)

    async def _let_go(self, holds: set[Hold]) -> None:
        chosen = {claim: task for claim, (run, task) in self._running.items() if run.hold in holds}
        if not chosen:
            return
        for task in chosen.values():
            task.cancel()
        await asyncio.wait(chosen.values())
        await self._hand_back(list(chosen))

    async def _hand_back(self, unfinished: list[Claim]) -> None:
        try:
            released = await self._db.write(lambda tx: _release(tx, unfinished))
        except _OUTAGE as error:
            _log.warning("jobs not handed back; their leases will run out", error=str(error))
            return
        for job in released:
            self._bell.ring(doorbell.lane(job.lane), doorbell.subject(job.id))


def _claim_of(job: Job) -> Claim:
    return Claim(job.id, job.claim_no)


def _release(tx: Connection, unfinished: list[Claim]) -> list[Job]:
    held: list[Job] = []
    for claim in unfinished:
        with suppress(StaleJob):
            held.append(moves.held(tx, claim))
    attempts.let_go(tx, held)
    return moves.release(tx, [_claim_of(job) for job in held])
