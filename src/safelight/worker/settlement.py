"""Settles runs, however long the database is away: what became of them is known only here."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection

from safelight import telemetry
from safelight.assets.service import Assets
from safelight.db.engine import Database
from safelight.errors import SafelightError, ServiceError
from safelight.jobs import attempts, breakers, moves, retry, store
from safelight.jobs.job import Attempt, Job, StaleJob
from safelight.jobs.moves import Parking
from safelight.jobs.retry import RetryPolicy
from safelight.providers.provider import Done
from safelight.worker import failure as rules
from safelight.worker.endings import to_the_end
from safelight.worker.under_way import Run
from safelight.worker.writes import Success, Writes

_log = telemetry.logger(__name__)

T = TypeVar("T")

_AGAIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Settlement:
    """How runs of one worker end."""

    database: Database
    assets: Assets
    policy: RetryPolicy
    writes: Writes
    look_again: timedelta = timedelta(seconds=5)  # after the provider or our storage was away

    async def succeed(
        self, run: Run, attempt: Attempt, answer: Done, rows: list[dict[str, Any]]
    ) -> Job:
        """Finish the job with its stored outputs; raise `StaleJob` where somebody was first."""
        cost = answer.cost_micros
        success = Success(run.claim, attempt.id, cost, rows)
        try:
            return await to_the_end(self._accept(success))
        except StaleJob:
            # Lost the race after all. The attempt is whoever's who moved the job; what it cost is
            # still known only here. The bytes have no row.
            await to_the_end(self._abandon(attempt, cost, rows))
            raise

    async def _accept(self, success: Success) -> Job:
        """Write the success; a commit whose answer was lost is found, not taken for a lost race."""
        claim = success.claim
        try:
            return await self.insist(lambda: self.writes.succeed(success))
        except StaleJob:
            job = await self.insist(
                lambda: self.database.read(lambda tx: store.succeeded(tx, claim))
            )
            if job is None:
                raise
            return job

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Try again while the database is away: what became of the work is known only here.

        The worker ends this when the claim is no longer its own.
        """
        while True:
            try:
                return await call()
            except ServiceError as error:
                _log.warning("a run waits for the database", error=error.detail)
            await asyncio.sleep(_AGAIN_S)

    async def _abandon(
        self, attempt: Attempt, cost: int | None, rows: list[dict[str, Any]]
    ) -> None:
        if cost is not None:
            await self.database.write(lambda tx: attempts.keep_cost(tx, attempt.id, cost))
        await self.discard(rows)

    async def fail(
        self,
        run: Run,
        error: SafelightError,
        done: Done | None,
        *,
        asked: bool,
        adopts_within: timedelta = timedelta(),
    ) -> Job:
        """Settle what went wrong; not `asked`, the provider has not heard of it in this run.

        Where the answer was lost, its ticket may still turn up within `adopts_within`.
        """
        claim, job = run.claim, run.job

        def write(tx: Connection) -> Job:
            held = moves.held(tx, claim)
            attempt = attempts.current(tx, job.id)
            if asked:
                looking = attempt is not None and attempt.ticket is not None
                breakers.note_fault(tx, job.provider, error, looking=looking)
            if attempt is not None and rules.must_resume(attempt, error):
                return moves.park(
                    tx,
                    Parking(
                        claim,
                        check_at=next_look(job, error.retry_after or self.look_again),
                        wakes=job.wakes,
                        stage=held.stage or "waiting for the provider",
                        progress=held.progress,
                    ),
                )
            if attempt is not None and rules.may_be_adopted(job, attempt, error, adopts_within):
                attempts.lose_sight(tx, attempt.id)
                return moves.park(
                    tx,
                    Parking(
                        claim,
                        check_at=next_look(job, self.look_again),
                        wakes=job.wakes,
                        stage="waiting to hear whether the provider has it",
                        progress=held.progress,
                    ),
                )
            decision = retry.decide(
                held,
                error,
                now=datetime.now(UTC),
                policy=self.policy,
                jitter=random.random(),  # noqa: S311  spreads retries, guards nothing
            )
            # Unasked, an attempt is here only where its commit came through without its answer.
            if attempt and asked and not rules.may_start_again(held, attempt, error, done):
                decision = retry.Fail(error)
            return rules.settle(tx, claim, attempt, decision, error, done)

        return await to_the_end(self.insist(lambda: self.database.write(write)))

    async def discard(self, rows: list[dict[str, Any]]) -> None:
        """Remove objects that no row will name; what cannot be now, the janitor finds later."""
        asset_ids = [row["id"] for row in rows]
        try:
            await self.assets.give_up(asset_ids)
        except ServiceError as error:
            _log.warning("objects without a row are left behind", of=asset_ids, error=error.detail)


def next_look(job: Job, wait: timedelta) -> datetime:
    """Return when to look at the provider again: never past the end of the job's time."""
    now = datetime.now(UTC)
    end = (job.started_at or now) + job.timeout
    return now + min(wait, max(end - now, timedelta()))
