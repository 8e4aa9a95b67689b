"""The worker: waits for rings, claims jobs for its lanes, renews leases, stops gracefully."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog

from safelight import ids, telemetry
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.doorbell import doorbell
from safelight.doorbell.doorbell import Doorbell
from safelight.jobs.job import Claim, Job, StaleJob
from safelight.jobs.ledger import attempts, moves, store
from safelight.jobs.scheduling import claims
from safelight.jobs.scheduling.limits import NO_LIMITS, ClaimLimits
from safelight.jobs.topics import topics_of
from safelight.worker.attempt.run import Runner
from safelight.worker.attempt.run_state import Clock, Recovery, Run
from safelight.worker.rounds import OUTAGE

_log = telemetry.logger(__name__)

_MOST_AT_ONCE = 500
_STILL_HERE_S = 1.0
_DELIVER_EVERY_S = 60.0
_LEAST_REST = timedelta(milliseconds=20)  # between empty claims


@dataclass(frozen=True, slots=True)
class WorkerRules:
    """Concurrent jobs per lane, and the worker's intervals."""

    slots: Mapping[str, int]
    lease: timedelta
    look_every: timedelta  # poll interval without a ring
    grace: timedelta
    limits: ClaimLimits = NO_LIMITS


class _Lane:
    """One lane: its free slots for starts, its checks, and an event for ended runs."""

    def __init__(self, name: str, slots: int) -> None:
        self.name = name
        self.free = slots
        self.changed = asyncio.Event()
        self.slots = slots
        self.checks = Counter[str]()  # by provider
        self.cursor = claims.START
        self.throttled = False  # a limit kept the last claim from taking ready work

    @property
    def checking(self) -> claims.Checking:
        """The running checks. Each provider has its own slots, so that none blocks another."""
        return claims.Checking(self.slots, dict(self.checks))

    async def until_changed(self, most: timedelta) -> None:
        """Wait until a run ends, or at most for `most`."""
        self.changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(most.total_seconds()):
                await self.changed.wait()


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
        self._running: dict[Run, asyncio.Task[None]] = {}
        self._calls: dict[str, Run] = {}  # the newest run of each job
        self._lanes = [_Lane(name, slots) for name, slots in rules.slots.items()]
        self._stopping = False

    @property
    def running(self) -> int:
        """How many jobs run here now."""
        return len(self._running)

    def stop(self) -> None:
        """Stop claiming; `run` returns when all runs have ended or the grace period is over."""
        self._stopping = True
        for lane in self._lanes:
            lane.changed.set()
            self._bell.ring(doorbell.lane(lane.name))

    async def run(self) -> None:
        """Serve all lanes until stopped, then hand back unfinished jobs."""
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self._keep_leases())
            deliverer = group.create_task(self._deliver_results())
            async with asyncio.TaskGroup() as serving:
                for lane in self._lanes:
                    serving.create_task(self._serve(lane, group))
            await self._finish()
            deliverer.cancel()
            keeper.cancel()

    async def _serve(self, lane: _Lane, group: asyncio.TaskGroup) -> None:
        with self._bell.listen(doorbell.lane(lane.name)) as bell:
            while not self._stopping:
                if not lane.free:  # only checks can be claimed, and those do not ring
                    await lane.until_changed(self._rules.look_every)
                    if self._stopping:
                        continue
                asked_at = time.monotonic()
                claimed = await self._claim(lane)
                if claimed is None:
                    await bell.wait(self._rules.look_every)
                    continue
                if self._stopping:
                    await self._hand_back([_claim_of(job) for job in claimed.jobs])
                    return
                lane.cursor, lane.throttled = claimed.cursor, claimed.throttled
                clock = Clock(claimed.at, asked_at)
                for number, job in enumerate(claimed.jobs):
                    run = Run(job, clock, resumes=number < claimed.checks)
                    self._start(run, lane, group)
                if not claimed.jobs and lane.free:
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
                    checking=lane.checking,
                )
            )
        except OUTAGE as error:
            _log.warning("claim failed; retrying", lane=lane.name, error=str(error))
            return None

    def _rest(self, claimed: claims.Claimed) -> timedelta:
        """Return how long to sleep without a ring: until something is due, or the interval."""
        if claimed.rest is None:
            return self._rules.look_every
        return min(self._rules.look_every, max(claimed.rest, _LEAST_REST))

    def _start(self, run: Run, lane: _Lane, group: asyncio.TaskGroup) -> None:
        under_way = self._calls.get(run.job.id)
        if run.resumes and under_way is not None and under_way.recovery is Recovery.SINGULAR:
            # The lease was lost, but this worker still waits for the provider's response.
            under_way.take_over(run.job)
            return
        if run.resumes:
            lane.checks[run.job.provider] += 1
        else:
            lane.free -= 1
        telemetry.RUNNING.labels(lane.name).inc()
        self._calls[run.job.id] = run
        self._running[run] = group.create_task(self._run(run, lane))

    async def _run(self, run: Run, lane: _Lane) -> None:
        job = run.job
        with structlog.contextvars.bound_contextvars(job_id=job.id, account_id=job.account_id):
            try:
                await self._runner.run(run)
            except StaleJob:
                _log.info("job was moved by another process")
            except asyncio.CancelledError:
                _log.info("job let go")  # canceled, taken over, or the grace period is over
            except OUTAGE as error:
                # Nothing was written: the lease expires, and the janitor rescues the job.
                _log.warning("job could not be settled", error=str(error))
            except Exception:  # noqa: BLE001  one job must not stop the others; this one gets buried
                _log.exception("job could not be settled")
            finally:
                self._give_back(run, lane)

    def _give_back(self, run: Run, lane: _Lane) -> None:
        self._running.pop(run, None)
        if self._calls.get(run.job.id) is run:
            del self._calls[run.job.id]
        if run.resumes:
            lane.checks[run.job.provider] -= 1
        else:
            lane.free += 1
        lane.changed.set()
        telemetry.RUNNING.labels(lane.name).dec()
        if lane.throttled:  # the limit has room now, here or for another worker
            self._bell.ring(doorbell.lane(lane.name))

    async def _keep_leases(self) -> None:
        """Renew all leases at a third of their length, and cancel runs whose claim is lost.

        A call that may be paid for is not canceled: its response tells the cost, and is used if
        the job still waits for it.
        """
        with self._bell.listen(doorbell.HALT) as bell:
            while True:
                await bell.wait(self._rules.lease / 3)
                mine = {run: (run.claim, task) for run, task in self._running.items()}
                held = await self._renew([claim for claim, _ in mine.values()])
                if held is None:
                    continue
                for run, (claim, task) in mine.items():
                    if claim not in held and run.recovery is not Recovery.SINGULAR:
                        task.cancel()

    async def _renew(self, mine: Sequence[Claim]) -> set[Claim] | None:
        """Return which of `mine` are still ours; None during an outage."""
        try:
            return await self._db.write(
                lambda tx: claims.renew(tx, worker=self.id, running=mine, lease=self._rules.lease)
            )
        except OUTAGE as error:
            _log.warning("leases not renewed", error=str(error))
            return None

    async def _deliver_results(self) -> None:
        """Finish results that dead processes left on disk, at startup and periodically."""
        while True:
            try:
                await self._runner.keeper.deliver()
            except OUTAGE as error:
                _log.warning("results stay on disk", error=str(error))
            await asyncio.sleep(_DELIVER_EVERY_S)

    async def _finish(self) -> None:
        """End each run as its recovery allows: at once, after the grace, or after its call."""
        if not self._running:
            return
        grace_s = self._rules.grace.total_seconds()
        _log.info("stopping", running=len(self._running), grace_s=grace_s)
        await self._let_go({Recovery.RESUMABLE})
        await self._wait_at_most(grace_s)
        await self._let_go({Recovery.RESUMABLE, Recovery.REPEATABLE})
        # The rest may be paid for and cannot be fetched again: their own timeouts end them.
        while self._running:
            await self._wait_at_most(_STILL_HERE_S)
            await self._let_go({Recovery.RESUMABLE, Recovery.REPEATABLE})
            await self._hang_up()

    async def _wait_at_most(self, seconds: float) -> None:
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=seconds)

    async def _let_go(self, recoveries: set[Recovery]) -> None:
        chosen = {run: task for run, task in self._running.items() if run.recovery in recoveries}
        if not chosen:
            return
        for task in chosen.values():
            task.cancel()
        await asyncio.wait(chosen.values())
        await self._hand_back([run.claim for run in chosen])

    async def _hang_up(self) -> None:
        """Cancel calls whose jobs have ended, for example by a cancel: their attempts stay open."""
        ids = [run.job.id for run in self._running]
        try:
            ended = await self._db.read(lambda tx: store.ended_of(tx, ids))
        except OUTAGE as error:
            _log.warning("calls not canceled", error=str(error))
            return
        tasks = [task for run, task in self._running.items() if run.job.id in ended]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _hand_back(self, unfinished: list[Claim]) -> None:
        try:
            released = await self._db.write(lambda tx: _release(tx, unfinished))
        except OUTAGE as error:
            _log.warning("jobs not handed back; their leases will expire", error=str(error))
            return
        if released:
            self._bell.ring(*topics_of(released))


def _claim_of(job: Job) -> Claim:
    return Claim(job.id, job.fence)


def _release(tx: Connection, unfinished: list[Claim]) -> list[Job]:
    claimed: list[Job] = []
    for claim in unfinished:
        with suppress(StaleJob):
            claimed.append(moves.lock_claimed(tx, claim))
    attempts.let_go(tx, claimed)
    return moves.release(tx, [_claim_of(job) for job in claimed])
