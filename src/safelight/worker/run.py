"""One attempt at one job, from the claim to its settlement; read it top to bottom."""

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from safelight import telemetry
from safelight.assets import store as asset_store
from safelight.assets.service import Assets, Origin
from safelight.db.engine import Database
from safelight.doorbell import doorbell
from safelight.doorbell.doorbell import Doorbell
from safelight.errors import (
    JobTimeout,
    NotFound,
    Remedy,
    SafelightError,
    UnknownOutcome,
)
from safelight.fetch import Fetcher
from safelight.ids import PREFIXES
from safelight.jobs import attempts, retry, store
from safelight.jobs.job import Attempt, AttemptState, Job, JobStatus, Outcome, StaleJob
from safelight.jobs.retry import RetryPolicy
from safelight.jobs.store import Claim
from safelight.providers.provider import (
    Done,
    InputFile,
    Kind,
    MediaFile,
    Pending,
    ProviderRequest,
)
from safelight.providers.registry import Registry
from safelight.worker.progress import ProgressWriter

_log = telemetry.logger(__name__)

_CHECK_AGAIN = timedelta(seconds=5)  # when a look at the provider or our own storage failed


@dataclass(frozen=True, slots=True)
class Runner:
    """Everything that running an attempt needs."""

    database: Database
    bell: Doorbell
    registry: Registry
    assets: Assets
    fetcher: Fetcher
    policy: RetryPolicy
    scratch: Path

    async def run(self, job: Job) -> None:
        """Carry the claimed `job` as far as it goes now, and settle it.

        Raises `StaleJob` when somebody else has moved the job, and passes cancellation on; in both
        cases nothing is settled here.
        """
        began = time.monotonic()
        claim = Claim(job.id, job.claim_no)
        async with _folder(self.scratch) as folder:
            settled = await self._attempt(job, claim, folder)
        telemetry.ATTEMPT_SECONDS.labels(job.provider, settled.status.value).observe(
            time.monotonic() - began
        )
        _log.info(
            "job settled",
            status=settled.status.value,
            code=(settled.error or {}).get("code"),
            seconds=round(time.monotonic() - began, 3),
        )
        self._ring(settled)

    async def _attempt(self, job: Job, claim: Claim, folder: Path) -> Job:
        attempt = await self.database.read(lambda tx: attempts.current(tx, job.id))
        try:
            async with asyncio.timeout(_time_left(job)):
                request = await self._prepare(job, folder)
                if attempt is None:
                    attempt = await self._open(claim, job)
                answer = await self._ask_provider(job, claim, attempt, request)
                if isinstance(answer, Pending):
                    return await self._park(job, claim, attempt, answer)
                rows = await self._keep(job, answer.outputs)
        except TimeoutError:
            limit = job.timeout.total_seconds()
            error = JobTimeout(f"The job did not finish within {limit:g} s.")
            return await self._settle_failure(job, claim, attempt, error)
        except SafelightError as error:
            return await self._settle_failure(job, claim, attempt, error)
        except (StaleJob, asyncio.CancelledError):
            raise
        except Exception:
            _log.exception("the provider raised what it should not")
            return await self._settle_failure(job, claim, attempt, SafelightError())
        return await self._settle_success(claim, attempt, answer, rows)

    # --- the steps ---------------------------------------------------------------------------

    async def _prepare(self, job: Job, folder: Path) -> ProviderRequest:
        """Bring the inputs to local disk. Nothing has been sent yet, so this may fail freely."""
        inputs = [
            await self._fetch_input(job, reference, folder / f"input-{index}")
            for index, reference in enumerate(job.inputs)
        ]
        workplace = folder / "work"
        workplace.mkdir()
        return ProviderRequest(
            kind=Kind(job.kind),
            model=job.model,
            prompt=job.prompt,
            params=job.params,
            inputs=tuple(inputs),
            scratch=workplace,
            source_url=job.source_url,
        )

    async def _fetch_input(self, job: Job, reference: str, path: Path) -> InputFile:
        if reference.startswith(PREFIXES["asset"]):
            asset = await self.database.read(
                lambda tx: asset_store.get(tx, job.account_id, reference)
            )
            if asset is None:
                raise NotFound(f"The input {reference} has been deleted.")
            await self.assets.copy_original(asset, path)
            return InputFile(path, asset.media_type, asset.name)
        fetched = await self.fetcher.download(reference, to=path)
        facts = await self.assets.inspect(path)
        return InputFile(path, facts.media_type, fetched.name)

    async def _open(self, claim: Claim, job: Job) -> Attempt:
        """Write the attempt before the provider hears of it."""
        attempt = await self.database.write(lambda tx: attempts.send(tx, claim, job.provider))
        if attempt is None:
            raise StaleJob(job.id)
        return attempt

    async def _ask_provider(
        self, job: Job, claim: Claim, attempt: Attempt, request: ProviderRequest
    ) -> Done | Pending:
        if attempt.state is AttemptState.UNKNOWN:
            raise UnknownOutcome(
                "The worker died after it had called the provider; the work may have been done."
            )
        provider = self.registry.provider(job.provider)
        async with ProgressWriter(self.database, self.bell, job, claim, attempt.id) as progress:
            if attempt.ticket is not None:
                return await provider.check(attempt.ticket, request, progress)
            answer = await provider.start(request, progress)
            if isinstance(answer, Pending):
                # In a transaction of its own: the ticket is worth money, whatever comes next.
                ticket = answer.ticket
                await self.database.write(
                    lambda tx: attempts.keep_ticket(tx, attempt.id, ticket)
                )
            return answer

    async def _park(self, job: Job, claim: Claim, attempt: Attempt, answer: Pending) -> Job:
        if answer.ticket != attempt.ticket:
            await self.database.write(
                lambda tx: attempts.keep_ticket(tx, attempt.id, answer.ticket)
            )
        check_at = datetime.now(UTC) + answer.check_after
        percent = job.progress if answer.progress is None else answer.progress
        return await self.database.write(
            lambda tx: store.park(
                tx,
                claim,
                check_at=check_at,
                wakes=job.wakes,
                stage=answer.stage,
                progress=percent,
            )
        )

    async def _keep(self, job: Job, outputs: tuple[MediaFile, ...]) -> list[dict[str, Any]]:
        """Copy every output into our own storage, before the job may be called succeeded."""
        origin = Origin(job.account_id, job.id, job.prompt, job.model, job.provider)
        return [
            await self.assets.keep_media(media, origin, position)
            for position, media in enumerate(outputs)
        ]

    # --- settlement --------------------------------------------------------------------------

    async def _settle_success(
        self, claim: Claim, attempt: Attempt, answer: Done, rows: list[dict[str, Any]]
    ) -> Job:
        def write(tx: Connection) -> Job:
            job = store.succeed(tx, claim, cost_micros=answer.cost_micros)
            asset_store.insert(tx, rows)
            attempts.close(tx, attempt.id, Outcome.SUCCEEDED, cost_micros=answer.cost_micros)
            return job

        try:
            return await self.database.write(write)
        except StaleJob:
            # Lost the race after all: the bytes have no row, the money is still accounted for.
            await self.assets.discard(
                key for row in rows for key in _keys_of(row) if not key.startswith("originals/")
            )
            await self.database.write(
                lambda tx: attempts.close(
                    tx, attempt.id, Outcome.LOST, cost_micros=answer.cost_micros
                )
            )
            raise

    async def _settle_failure(
        self, job: Job, claim: Claim, attempt: Attempt | None, error: SafelightError
    ) -> Job:
        problem = error.problem()

        def write(tx: Connection) -> Job:
            under_way = attempts.current(tx, job.id)
            if under_way is not None and _must_resume(under_way, error):
                check_at = datetime.now(UTC) + (error.retry_after or _CHECK_AGAIN)
                return store.park(
                    tx,
                    claim,
                    check_at=check_at,
                    wakes=job.wakes,
                    stage=job.stage or "waiting for the provider",
                    progress=job.progress,
                )
            if under_way is not None:
                attempts.close(tx, under_way.id, Outcome.FAILED, error=problem)
            made = job.attempts + (attempt is not None and attempt.ticket is None)
            return self._apply(tx, claim, _with_attempts(job, made), error)

        return await self.database.write(write)

    def _apply(self, tx: Connection, claim: Claim, job: Job, error: SafelightError) -> Job:
        problem = error.problem()
        decision = retry.decide(
            job,
            error,
            now=datetime.now(UTC),
            policy=self.policy,
            jitter=random.random(),  # noqa: S311  spreads retries, guards nothing
        )
        match decision:
            case retry.Retry(at):
                return store.retry(tx, claim, at=at, error=problem)
            case retry.Snooze(until):
                return store.snooze(tx, claim, until=until, reason=error.title)
            case retry.Fail():
                return store.fail(tx, claim, error=problem)

    def _ring(self, job: Job) -> None:
        topics = [doorbell.subject(job.id)]
        if job.batch_id:
            topics.append(doorbell.subject(job.batch_id))
        if job.status in (JobStatus.QUEUED, JobStatus.WAITING):
            topics.append(doorbell.lane(job.lane))
        self.bell.ring(*topics)


def _must_resume(attempt: Attempt, error: SafelightError) -> bool:
    """Say whether a passing fault hit a look at work that goes on: that work is not started again."""
    return attempt.state is AttemptState.TICKETED and error.remedy in (Remedy.RETRY, Remedy.WAIT)


def _with_attempts(job: Job, made: int) -> Job:
    return Job(**{field: getattr(job, field) for field in Job.__slots__} | {"attempts": made})


def _time_left(job: Job) -> float:
    """Return the seconds until the job's time is up, counted from its first start."""
    if job.started_at is None:
        return job.timeout_s
    return max((job.started_at + job.timeout - datetime.now(UTC)).total_seconds(), 0.001)


def _keys_of(row: dict[str, Any]) -> list[str]:
    return [row["key"], *(rendition["key"] for rendition in row["renditions"].values())]


@asynccontextmanager
async def _folder(parent: Path) -> AsyncIterator[Path]:
    path = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=parent))
    try:
        yield path
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, path, True))
