"""Settles runs, however long the database is away: what became of them is known only here."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from safelight import telemetry
from safelight.assets.service import Assets
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import ServiceError
from safelight.jobs import retry
from safelight.jobs.job import Attempt, Ground, Job, Outcome, StaleJob
from safelight.jobs.ledger import attempts, callback_store, moves, store
from safelight.jobs.ledger.attempts import Closing
from safelight.jobs.ledger.moves import Parking
from safelight.jobs.retry import RetryPolicy
from safelight.jobs.scheduling import breakers
from safelight.providers.provider import Done
from safelight.worker.attempt import verdict
from safelight.worker.attempt.run_state import Run
from safelight.worker.attempt.shielded import to_the_end
from safelight.worker.attempt.verdict import Judgement, Situation, Wait
from safelight.worker.attempt.writes import Success, Writes

_log = telemetry.logger(__name__)

T = TypeVar("T")

_AGAIN_S = 0.5
_LONGEST_PAUSE_S = 10.0
PATIENCE = timedelta(hours=24)
RESULT_WAIT = timedelta(hours=1)
# A try that was not one: nothing was begun for it.
_UNCOUNTED = frozenset({Ground.UNSENT, Ground.ABSENT})


@dataclass(frozen=True, slots=True)
class Settlement:
    """How runs of one worker end.

    `patience` is how long after a job's time its provider is asked again where it refuses to
    answer. `grace` is how long a worker that lost its lease has to bring an answer by itself.
    `result_wait` is how long a result in hand waits for our database or storage.
    """

    database: Database
    assets: Assets
    policy: RetryPolicy
    writes: Writes
    look_again: timedelta = timedelta(seconds=5)  # after the provider or our storage was away
    patience: timedelta = PATIENCE
    grace: timedelta = timedelta()
    result_wait: timedelta = RESULT_WAIT

    async def succeed(
        self,
        run: Run,
        attempt: Attempt,
        answer: Done,
        rows: list[dict[str, Any]],
        deadline: float,
    ) -> Job:
        """Finish the job with its stored outputs; raise `StaleJob` where somebody was first.

        Raises `ServiceError` where the database is away at `deadline`, of the monotonic clock.
        """
        success = Success(run.job.id, attempt.id, answer.cost_micros, rows)
        try:
            return await to_the_end(self._accept(success, deadline))
        except StaleJob:
            # Lost the race after all; what the attempt cost is known only here.
            await to_the_end(self.abandon(attempt, answer, rows))
            raise

    async def _accept(self, success: Success, deadline: float) -> Job:
        """Write the success; a commit whose answer was lost is found, not taken for a lost race."""
        try:
            return await self.insist(lambda: self.writes.succeed(success), deadline)
        except StaleJob:
            job = await self.insist(
                lambda: self.database.read(lambda tx: store.succeeded_by(tx, success.attempt_id))
            )
            if job is None:
                raise
            return job

    async def insist(self, call: Callable[[], Awaitable[T]], deadline: float | None = None) -> T:
        """Try again while the database is away: what became of the work is known only here.

        Raises the last `ServiceError` at `deadline`, by default after `result_wait`. The worker
        ends this sooner when the claim is no longer its own.
        """
        if deadline is None:
            deadline = time.monotonic() + self.result_wait.total_seconds()
        pause_s = _AGAIN_S
        while True:
            try:
                return await call()
            except ServiceError as error:
                if time.monotonic() > deadline:
                    raise
                _log.warning("a run waits for the database", error=error.detail)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)

    async def abandon(self, attempt: Attempt, answer: Done, rows: list[dict[str, Any]]) -> None:
        """Write what a result cost that nobody waits for any more, and remove its objects."""

        def write(tx: Connection) -> None:
            cost = answer.cost_micros
            if store.ended_of(tx, [attempt.job_id]):
                closing = Closing(Outcome.CANCELED, Ground.VERDICT, cost_micros=cost)
                attempts.close(tx, attempt.id, closing)
            elif cost is not None:
                attempts.keep_cost(tx, attempt.id, cost)

        await self.insist(lambda: self.database.write(write))
        await self.discard(rows)

    async def note_cost(self, attempt: Attempt, answer: Done) -> None:
        """Write what a result cost that its run cannot finish now."""
        cost = answer.cost_micros
        if cost is not None:
            await self.insist(
                lambda: self.database.write(lambda tx: attempts.keep_cost(tx, attempt.id, cost))
            )

    async def settle(
        self,
        run: Run,
        attempt: Attempt | None,
        judge: Callable[[Situation], Judgement],
        adopts_within: timedelta,
    ) -> Job:
        """Carry out what `judge` says of the run; raise `StaleJob` where the job is not its own.

        `attempt` is the one that the run knows of, and `adopts_within` its provider's. A fact that
        closes it is written even when the claim is void: it is about the work, not the lease.
        """

        def situation(tx: Connection, job: Job) -> Situation:
            return Situation(
                job,
                attempts.current(tx, job.id),
                now=run.now(),
                policy=self.policy,
                jitter=random.random(),  # noqa: S311  spreads retries, guards nothing
                adopts_within=adopts_within,
                patience=self.patience,
                look_again=self.look_again,
            )

        def write(tx: Connection) -> Job | None:
            try:
                held = moves.held(tx, run.claim)
            except StaleJob:
                if attempt is not None and attempt.ticket is None:
                    _testify(tx, attempt, judge(situation(tx, run.job)))
                return None
            at = situation(tx, held)
            judgement = judge(at)
            if attempt is not None and at.attempt is None and judgement.closing is None:
                judgement = verdict.closed_meanwhile(at)
            if attempt is not None and judgement.error is not None:
                looking = at.attempt is not None and at.attempt.ticket is not None
                breakers.note_fault(tx, held.provider, judgement.error, looking=looking)
            return _carry_out(tx, run, at, judgement)

        job = await to_the_end(self.insist(lambda: self.database.write(write)))
        if job is None:
            raise StaleJob(run.job.id)
        return job

    async def discard(self, rows: list[dict[str, Any]]) -> None:
        """Remove objects that no row will name; what cannot be now, the janitor finds later."""
        asset_ids = [row["id"] for row in rows]
        try:
            await self.assets.give_up(asset_ids)
        except ServiceError as error:
            _log.warning("objects without a row are left behind", of=asset_ids, error=error.detail)


def _testify(tx: Connection, attempt: Attempt, judgement: Judgement) -> None:
    """Close the attempt of a job that is no longer ours, and have the job go on without it."""
    if judgement.closing is not None and attempts.close(tx, attempt.id, judgement.closing):
        callback_store.wake(tx, attempt.id)


def _carry_out(tx: Connection, run: Run, at: Situation, judgement: Judgement) -> Job:
    """Close the attempt or leave it open, and move the job: to the queue only without one."""
    claim, job = run.claim, at.job
    if at.attempt is not None:
        _end(tx, at.attempt, judgement)
    problem = {} if judgement.error is None else judgement.error.problem()
    match judgement.job:
        case Wait(after, stage):
            return moves.park(tx, Parking(claim, after, run.job.wakes, stage, job.progress))
        case retry.Retry(at=when, reason=why):
            end_with = why and why.problem()
            return moves.retry(tx, claim, at=when, error=problem, end_with=end_with)
        case retry.Snooze(until, why):
            reason = judgement.error.title if judgement.error else "starting again"
            end_with = why and why.problem()
            return moves.snooze(tx, claim, until=until, reason=reason, end_with=end_with)
        case retry.FallBack():
            return moves.fall_back(tx, claim, error=problem)
        case retry.Fail(error):
            return moves.fail(tx, claim, error=error.problem())


def _end(tx: Connection, attempt: Attempt, judgement: Judgement) -> None:
    """Close the attempt, or say that its answer was lost; one that was not a try is not counted."""
    closing = judgement.closing
    if closing is None:
        attempts.lose_sight(tx, attempt.id)
        return
    attempts.close(tx, attempt.id, closing)
    if closing.ground in _UNCOUNTED or isinstance(judgement.job, retry.Snooze):
        attempts.uncount(tx, attempt.job_id)
