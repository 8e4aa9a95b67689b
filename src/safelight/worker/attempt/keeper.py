"""Keeps a result in hand: on disk until it is settled, then as assets."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from safelight import telemetry
from safelight.assets.asset import NewAsset
from safelight.assets.intake import Intake, Origin
from safelight.db.engine import Database
from safelight.doorbell.doorbell import Doorbell
from safelight.errors import SafelightError, ServiceError
from safelight.jobs.job import Attempt, StaleJob
from safelight.jobs.ledger import attempts
from safelight.jobs.topics import topics_of
from safelight.providers.provider import Done, Kind, MediaFile
from safelight.worker.attempt import results, verdict
from safelight.worker.attempt.progress import ProgressWriter
from safelight.worker.attempt.run_state import Clock, Recovery, Run
from safelight.worker.attempt.settlement import Settlement
from safelight.worker.attempt.verdict import LookFailed

_log = telemetry.logger(__name__)

_KEEPING_PERCENT = 99.0


@dataclass(frozen=True, slots=True)
class Keeper:
    """Keeps results in `folder` on this machine, and takes their files in."""

    database: Database
    bell: Doorbell
    intake: Intake
    settlement: Settlement
    folder: Path
    keep_s: float | None  # default retention of outputs

    @asynccontextmanager
    async def in_hand(
        self, run: Run, attempt: Attempt, done: Done, folder: Path
    ) -> AsyncGenerator[Done]:
        """Keep a result that cannot be fetched again on disk, until it is settled."""
        if run.recovery is not Recovery.SINGULAR:
            yield done
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(results.locked(self.folder, attempt.id))
                done = await asyncio.to_thread(results.keep, self.folder, attempt.id, folder, done)
            except OSError as error:  # a full disk costs the copy, not the result
                _log.error("a result is not kept on disk", attempt=attempt.id, error=str(error))
                yield done
                return
            yield done
            await asyncio.to_thread(results.drop, self.folder, attempt.id)

    async def received(self, run: Run, attempt: Attempt) -> Done | None:
        """Return the result that an earlier process on this machine had received, or None.

        Raises `LookFailed` while a live process has it and is finishing the job.
        """
        if attempt.id not in await asyncio.to_thread(results.attempts, self.folder):
            return None
        with results.locked(self.folder, attempt.id) as is_free:
            if not is_free:
                raise LookFailed(ServiceError("Its result is being stored."))
            run.recovery = Recovery.SINGULAR
            return results.read(self.folder, attempt.id)

    async def keep(
        self, run: Run, attempt: Attempt, outputs: tuple[MediaFile, ...], deadline: float
    ) -> list[NewAsset]:
        """Copy all outputs to our storage, before the job can succeed."""
        rows: list[NewAsset] = []
        report = self.settlement.writes.report
        try:
            async with ProgressWriter(report, self.bell, run, attempt.id) as progress:
                for position, media in enumerate(outputs):
                    rows.append(
                        await self._keep_one(run, attempt, media, position, progress, deadline)
                    )
        except SafelightError:
            await self.settlement.discard(rows)
            raise
        return rows

    async def _keep_one(
        self,
        run: Run,
        attempt: Attempt,
        media: MediaFile,
        position: int,
        progress: ProgressWriter,
        deadline: float,
    ) -> NewAsset:
        """Store one output; retry until `deadline` during outages.

        If storage is down, it retries only if the result cannot be fetched again.
        """
        job = run.job
        origin = Origin(
            job.account_id,
            job.id,
            job.prompt,
            job.model,
            attempt.provider,
            name=job.name if job.kind == Kind.IMPORT_IMAGE else "",
            external_id=job.external_id,
            tags=job.tags,
            metadata=job.metadata,
            expires_at=_gone_at(run, job.keep_s or self.keep_s),
            visibility=job.visibility,
        )
        while True:
            try:
                return await self.intake.keep_media(
                    media,
                    origin,
                    position,
                    # This step is a small part of the whole, and 100 is reserved for the end.
                    report=lambda _, words: progress.report(_KEEPING_PERCENT, words),
                )
            except Exception as error:
                known = verdict.name(error, job, timed_out=False)
                if not isinstance(known, ServiceError) or time.monotonic() > deadline:
                    raise known from error
                if verdict.is_of_storage(known) and verdict.can_have_it_again(job, attempt):
                    raise known from error
                _log.warning("result not stored; retrying", error=known.detail)
            await asyncio.sleep(self.settlement.look_again.total_seconds())

    async def deliver(self) -> None:
        """Finish jobs whose results earlier processes left on this machine's disk.

        Results rejected as invalid are left for the next claim of their job.
        """
        for attempt_id in await asyncio.to_thread(results.attempts, self.folder):
            try:
                await self._deliver(attempt_id)
            except (SafelightError, StaleJob) as error:
                _log.warning("result stays on disk", attempt=attempt_id, error=str(error))
            except (OSError, ValueError, LookupError):  # a damaged one delays no other
                _log.exception("result on disk cannot be read", attempt=attempt_id)

    async def _deliver(self, attempt_id: str) -> None:
        with results.locked(self.folder, attempt_id) as is_free:
            done = results.read(self.folder, attempt_id) if is_free else None
            if done is None:
                return
            found = await self.database.read(lambda tx: attempts.with_job(tx, attempt_id))
            if found is not None:
                attempt, job, at = found
                run = Run(job, Clock(at))
                if attempt.is_open and job.awaits_result:
                    deadline = time.monotonic()
                    rows = await self.keep(run, attempt, done.outputs, deadline)
                    job = await self.settlement.succeed(run, attempt, done, rows, deadline)
                    self.bell.ring(*topics_of([job]))
                else:
                    await self.settlement.abandon(attempt, done, [])
            await asyncio.to_thread(results.drop, self.folder, attempt_id)


def _gone_at(run: Run, keep_s: float | None) -> datetime | None:
    """Return when outputs stored now expire; None: never."""
    return None if keep_s is None else run.now() + timedelta(seconds=keep_s)
