"""Settles runs, retrying through database outages, because only this process knows the outcome."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from safelight import telemetry
from safelight.assets.asset import NewAsset
from safelight.assets.service import Assets
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import ServiceError
from safelight.jobs import retry
from safelight.jobs.job import Attempt, Claim, Ground, Job, Outcome, StaleJob
from safelight.jobs.ledger import attempts, moves, store
from safelight.jobs.ledger.attempts import Closing
from safelight.jobs.ledger.moves import Parking
from safelight.jobs.retry import RetryPolicy
from safelight.jobs.scheduling import breakers, claims
from safelight.providers.provider import Done
from safelight.worker.attempt import verdict
from safelight.worker.attempt.run_state import Run
from safelight.worker.attempt.shielded import to_the_end
from safelight.worker.attempt.verdict import Judgment, Situation, Wait
from safelight.worker.attempt.writes import Success, Writes

_log = telemetry.logger(__name__)

T = TypeVar("T")

_AGAIN_S = 0.5
_LONGEST_PAUSE_S = 10.0
PATIENCE = timedelta(hours=24)
RESULT_WAIT = timedelta(hours=1)
# Attempts for which nothing was started do not count.
_UNCOUNTED = frozenset({Ground.UNSENT, Ground.ABSENT})


@dataclass(frozen=True, slots=True)
class Settlement:
    """Settles the runs of one worker.

    `patience` is how long after a job's timeout refused lookups are retried. `grace` is how long a
    worker that lost its lease may still deliver its response. `result_wait` is how long a received
    result waits for our database or storage.
    """

    database: Database
    assets: Assets
    policy: RetryPolicy
    writes: Writes
    look_again: timedelta = timedelta(
        seconds=5
    )  # retry interval after an outage of provider or storage
    patience: timedelta = PATIENCE
    grace: timedelta = timedelta()
    result_wait: timedelta = RESULT_WAIT

    async def succeed(
        self,
        run: Run,
        attempt: Attempt,
        answer: Done,
        rows: list[NewAsset],
        deadline: float,
    ) -> Job:
        """Finish the job with its stored outputs; raise `StaleJob` if another process was first.

        Raises `ServiceError` if the database is down until `deadline`, on the monotonic clock.
        """
        success = Success(run.job.id, attempt.id, answer.cost_micros, rows)
        try:
            return await to_the_end(self._accept(success, deadline))
        except StaleJob:
            # Lost the race; only this process knows the attempt's cost.
            await to_the_end(self.abandon(attempt, answer, rows))
            raise

    async def _accept(self, success: Success, deadline: float) -> Job:
        """Write the success; distinguishes a commit with a lost response from a lost race."""
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
        """Retry while the database is down, because only this process knows the outcome.

        Raises the last `ServiceError` at `deadline`, by default after `result_wait`. The worker
        cancels this earlier if it loses the claim.
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
                _log.warning("run waits for the database", error=error.detail)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)

    async def abandon(self, attempt: Attempt, answer: Done, rows: list[NewAsset]) -> None:
        """Record the cost of a result that came too late, and remove its objects."""

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
        """Record the cost of a result whose run cannot finish now."""
        cost = answer.cost_micros
        if cost is not None:
            await self.insist(
                lambda: self.database.write(lambda tx: attempts.keep_cost(tx, attempt.id, cost))
            )

    async def settle(
        self,
        run: Run,
        attempt: Attempt | None,
        judge: Callable[[Situation], Judgment],
        adopts_within: timedelta,
    ) -> Job:
        """Settle the run by the verdict of `judge`; raise `StaleJob` if the claim is void.

        `attempt` is the run's attempt, if any, and `adopts_within` its provider's. A fact that
        closes it is carried out even if the claim is void: it concerns the work, not the lease.
        """

        def situation(tx: Connection, job: Job) -> Situation:
            return Situation(
                job,
                attempts.current(tx, job.id, lock=True),
                now=run.now(),
                policy=self.policy,
                jitter=random.random(),  # noqa: S311  spreads retries, guards nothing
                adopts_within=adopts_within,
                patience=self.patience,
                look_again=self.look_again,
            )

        def write(tx: Connection) -> tuple[Job, Judgment] | None:
            try:
                at = situation(tx, moves.lock_claimed(tx, run.claim))
                claim = run.claim
            except StaleJob:
                if attempt is None or attempt.ticket is not None:
                    return None
                at = situation(tx, store.locked(tx, run.job.id) or run.job)
                testimony = _testify(tx, attempt, at, judge(at))
                if testimony is None:
                    return None
                claim = testimony
            judgment = _judged(attempt, at, judge)
            if attempt is not None and judgment.error is not None:
                looking = at.attempt is not None and at.attempt.ticket is not None
                breakers.note_fault(tx, at.job.provider, judgment.error, looking=looking)
            return _carry_out(tx, claim, run.job.wakes, at, judgment), judgment

        settled = await to_the_end(self.insist(lambda: self.database.write(write)))
        if settled is None:
            raise StaleJob(run.job.id)
        _note(*settled)
        return settled[0]

    async def discard(self, rows: list[NewAsset]) -> None:
        """Remove objects that will get no row; after an outage, the janitor removes them."""
        asset_ids = [row["id"] for row in rows]
        try:
            await self.assets.give_up(asset_ids)
        except ServiceError as error:
            _log.warning(
                "unreferenced objects left for the janitor", of=asset_ids, error=error.detail
            )


def _note(job: Job, judgment: Judgment) -> None:
    """Log why a job is not done yet; the end of a job is logged with its run."""
    if judgment.error is not None and not job.is_final:
        _log.warning(
            "job goes on later",
            status=job.status.value,
            code=judgment.error.code,
            reason=judgment.error.detail,
            due_at=job.run_at.isoformat(),
        )


def _judged(
    attempt: Attempt | None, at: Situation, judge: Callable[[Situation], Judgment]
) -> Judgment:
    """Return the judgment, unless proof closed the attempt and this one would only guess."""
    judgment = judge(at)
    is_closed = attempt is not None and at.attempt is None
    return verdict.closed_meanwhile(at) if is_closed and judgment.closing is None else judgment


def _testify(tx: Connection, attempt: Attempt, at: Situation, judgment: Judgment) -> Claim | None:
    """Return the right to carry out a judgment of a run that has lost its claim.

    A fact about the work outranks the lease, so the open attempt is the fence, as for a result.
    None if the judgment is no fact, or the job no longer waits for it.
    """
    if judgment.closing is None:
        return None
    if at.job.is_final or at.attempt is None or at.attempt.id != attempt.id:
        attempts.close(tx, attempt.id, judgment.closing)
        return None
    return claims.take(tx, at.job)


def _carry_out(tx: Connection, claim: Claim, wakes: int, at: Situation, judgment: Judgment) -> Job:
    """Close the attempt or leave it open, and move the job: to the queue only without one."""
    job = at.job
    if at.attempt is not None:
        _end(tx, at.attempt, judgment)
    problem = {} if judgment.error is None else judgment.error.problem()
    match judgment.job:
        case Wait(after, stage):
            return moves.park(tx, Parking(claim, after, wakes, stage, job.progress))
        case retry.Retry(at=when, reason=why):
            end_with = why and why.problem()
            return moves.retry(tx, claim, at=when, error=problem, end_with=end_with)
        case retry.Snooze(until, why):
            reason = judgment.error.title if judgment.error else "starting again"
            end_with = why and why.problem()
            return moves.snooze(tx, claim, until=until, reason=reason, end_with=end_with)
        case retry.FallBack():
            return moves.fall_back(tx, claim, error=problem)
        case retry.Fail(error):
            return moves.fail(tx, claim, error=error.problem())


def _end(tx: Connection, attempt: Attempt, judgment: Judgment) -> None:
    """Close the attempt, or mark its response as lost; uncount it if nothing was started."""
    closing = judgment.closing
    if closing is None:
        attempts.lose_sight(tx, attempt.id)
        return
    attempts.close(tx, attempt.id, closing)
    if closing.ground in _UNCOUNTED or isinstance(judgment.job, retry.Snooze):
        attempts.uncount(tx, attempt.job_id)
