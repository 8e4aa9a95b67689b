"""One attempt at one job, from the claim to its settlement; read it top to bottom."""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from safelight import telemetry
from safelight.assets import store as asset_store
from safelight.assets.intake import Intake, Origin
from safelight.assets.service import Assets
from safelight.db.engine import Database
from safelight.doorbell import doorbell
from safelight.doorbell.doorbell import Doorbell
from safelight.errors import NotFound, ObjectsSwept, SafelightError, ServiceError, UnknownOutcome
from safelight.fetch import Fetcher
from safelight.ids import PREFIXES
from safelight.jobs import attempts, callback_store
from safelight.jobs.callbacks import CallbackAddresses
from safelight.jobs.inputs import JobInput
from safelight.jobs.job import Attempt, AttemptState, Job, JobStatus, StaleJob
from safelight.jobs.moves import Parking
from safelight.providers.provider import (
    Done,
    InputFile,
    Kind,
    MediaFile,
    Pending,
    Provider,
    ProviderRequest,
)
from safelight.providers.registry import Registry
from safelight.worker import failure
from safelight.worker.endings import scratch_folder
from safelight.worker.progress import ProgressWriter, percent, stage
from safelight.worker.settlement import Settlement, next_look
from safelight.worker.tickets import secure
from safelight.worker.under_way import Hold, Run

_log = telemetry.logger(__name__)

_KEEPING_PERCENT = 99.0
_HEAR_AGAIN = timedelta(seconds=30)
_UNHEARD = "waiting to hear whether the provider has it"
_LAST_LOOK_S = 30.0  # what a provider has made by the end of the job's time is paid, so it is heard


@dataclass(frozen=True, slots=True)
class Runner:
    """Everything that running an attempt needs."""

    database: Database
    bell: Doorbell
    registry: Registry
    assets: Assets
    intake: Intake
    fetcher: Fetcher
    settlement: Settlement
    addresses: CallbackAddresses
    scratch: Path
    keep_s: float | None = None  # how long outputs stay of jobs that do not say

    async def run(self, run: Run) -> None:
        """Carry the claimed job as far as it goes now, and settle it.

        Raises `StaleJob` when somebody else has moved the job, and passes cancellation on; in both
        cases nothing is settled here.
        """
        began = time.monotonic()
        job = run.job
        async with scratch_folder(self.scratch) as folder:
            settled = await self._attempt(run, folder)
        seconds = time.monotonic() - began
        status = settled.status.value
        telemetry.ATTEMPT_SECONDS.labels(job.provider, status).observe(seconds)
        code = (settled.error or {}).get("code")
        _log.info("job settled", status=status, code=code, seconds=round(seconds, 3))
        self._ring(settled)

    async def _attempt(self, run: Run, folder: Path) -> Job:
        job = run.job
        attempt = await self._under_way(job)
        if attempt is None and _is_overdue(job):  # it waited to the end of its time
            return await self.settlement.fail(run, failure.too_late(job), None, asked=False)
        answer: Done | Pending | None = None
        limit = asyncio.timeout(_time_left(job, attempt))
        try:
            async with limit:
                request = await self._prepare(job, attempt, folder)
                if attempt is None:
                    attempt = await self._open(run)
                answer = await self._ask_provider(run, attempt, request)
                if isinstance(answer, Pending):
                    run.hold = Hold.RESUMABLE
                    return await self._park(run, answer)
                rows = await self._keep(run, attempt, answer.outputs)
        except StaleJob:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the job must not hang on it
            known = failure.name(error, job, timed_out=limit.expired())
            done = answer if isinstance(answer, Done) else None
            return await self.settlement.fail(
                run, known, done, asked=attempt is not None, adopts_within=self._adopts(attempt)
            )
        try:
            return await self.settlement.succeed(run, attempt, answer, rows)
        except ObjectsSwept as error:
            return await self.settlement.fail(run, error, answer, asked=True)

    def _adopts(self, attempt: Attempt | None) -> timedelta:
        return self.registry.provider(attempt.provider).adopts_within if attempt else timedelta()

    async def _under_way(self, job: Job) -> Attempt | None:
        """Return the attempt that an earlier claim has opened; a first claim cannot have one."""
        if job.claim_no == 1:
            return None
        return await self.settlement.insist(
            lambda: self.database.read(lambda tx: attempts.current(tx, job.id))
        )

    # --- the steps ---------------------------------------------------------------------------

    async def _prepare(self, job: Job, attempt: Attempt | None, folder: Path) -> ProviderRequest:
        """Bring the inputs to local disk, unless the provider has them already.

        Nothing has been sent yet, so this may fail freely.
        """
        wanted = job.inputs if attempt is None else ()
        if wanted:
            await asyncio.to_thread(folder.mkdir)
        inputs = [
            await self._fetch_input(job, JobInput.read(entry), folder / f"input-{index}")
            for index, entry in enumerate(wanted)
        ]
        return ProviderRequest(
            kind=Kind(job.kind),
            model=job.model,
            prompt=job.prompt,
            params=job.params,
            inputs=tuple(inputs),
            folder=folder / "work" if wanted else folder,
            source_url=job.source_url,
        )

    async def _fetch_input(self, job: Job, wanted: JobInput, path: Path) -> InputFile:
        if wanted.source.startswith(PREFIXES["asset"]):
            asset = await self.database.read(
                lambda tx: asset_store.get(tx, job.account_id, wanted.source)
            )
            if asset is None:
                raise NotFound(f"The input {wanted.source} has been deleted.")
            await self.assets.copy_original(asset, path)
            return InputFile(path, asset.media_type, asset.name, wanted.role)
        fetched = await self.fetcher.download(wanted.source, to=path)
        facts = await self.intake.inspect(path)
        return InputFile(path, facts.media_type, fetched.name, wanted.role)

    async def _open(self, run: Run) -> Attempt:
        """Write the attempt before the provider hears of it."""
        self.registry.provider(run.job.provider)  # raises where it is no longer installed
        attempt = await self.settlement.writes.send((run.claim, run.job.provider))
        run.hold = Hold.REPEATABLE if run.job.repeatable else Hold.SINGULAR
        return attempt

    async def _ask_provider(
        self, run: Run, attempt: Attempt, request: ProviderRequest
    ) -> Done | Pending:
        provider = self.registry.provider(attempt.provider)
        ticket = attempt.ticket
        if attempt.state is AttemptState.UNKNOWN:
            ticket = await self._adopted(provider, attempt)
            if ticket is None:
                return Pending("", _HEAR_AGAIN, _UNHEARD)
        async with ProgressWriter(
            self.settlement.writes.report,
            self.bell,
            run.job,
            run.claim,
            attempt.id,
            callback_url=await self.addresses.of(provider.name, attempt.id),
            news=await self._news(run.job, attempt),
            glimpse=self.intake.glimpse,
        ) as progress:
            if ticket is not None:
                answer = await provider.check(ticket, request, progress)
            else:
                answer = await provider.start(request, progress)
            if isinstance(answer, Pending) and answer.ticket != attempt.ticket:
                await secure(self.settlement.writes.keep_ticket, provider, attempt, answer.ticket)
        return self._priced(run.job, answer) if isinstance(answer, Done) else answer

    def _priced(self, job: Job, answer: Done) -> Done:
        """Return the answer with what it cost by the model's price, where nobody told."""
        price = self.registry.price(job.model)
        if answer.cost_micros is not None or price is None:
            return answer
        cost = price.micros(job.params, len(answer.outputs), answer.usage)
        return replace(answer, cost_micros=cost)

    async def _adopted(self, provider: Provider, attempt: Attempt) -> str | None:
        """Return the ticket of an attempt whose answer was lost, None where it may still turn up.

        Raises `UnknownOutcome` when nobody will tell any more: then it is for a person to judge.
        """
        ticket = await provider.look_up(attempt.id)
        if ticket is not None:
            await secure(self.settlement.writes.keep_ticket, provider, attempt, ticket)
        elif datetime.now(UTC) >= attempt.created_at + provider.adopts_within:
            raise UnknownOutcome(
                "The provider was called and its answer was lost; the work may have been done."
            )
        return ticket

    async def _news(self, job: Job, attempt: Attempt) -> bytes | None:
        """Return what the provider has said by itself; a job that was never woken has no news."""
        if not job.wakes:
            return None
        return await self.database.read(lambda tx: callback_store.latest(tx, attempt.id))

    async def _park(self, run: Run, answer: Pending) -> Job:
        job = run.job
        if _is_overdue(job):
            raise failure.too_late(job)
        return await self.settlement.writes.park(
            Parking(
                run.claim,
                check_at=next_look(job, answer.check_after),
                wakes=job.wakes,
                stage=stage(answer.stage),
                progress=job.progress if answer.progress is None else percent(answer.progress),
            )
        )

    async def _keep(
        self, run: Run, attempt: Attempt, outputs: tuple[MediaFile, ...]
    ) -> list[dict[str, Any]]:
        """Copy every output into our own storage, before the job may be called succeeded."""
        rows: list[dict[str, Any]] = []
        report = self.settlement.writes.report
        try:
            async with ProgressWriter(
                report, self.bell, run.job, run.claim, attempt.id
            ) as progress:
                for position, media in enumerate(outputs):
                    rows.append(await self._keep_one(run.job, attempt, media, position, progress))
        except SafelightError:
            await self.settlement.discard(rows)
            raise
        return rows

    async def _keep_one(
        self,
        job: Job,
        attempt: Attempt,
        media: MediaFile,
        position: int,
        progress: ProgressWriter,
    ) -> dict[str, Any]:
        """Keep one output, waiting while that cannot be done, as long as the job's time lasts.

        For our storage it waits only where nobody else has the result.
        """
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
            expires_at=_gone_at(job.keep_s or self.keep_s),
            visibility=job.visibility,
        )
        while True:
            try:
                return await self.intake.keep_media(
                    media,
                    origin,
                    position,
                    # What is left is little of the whole, and 100 is said by its end alone.
                    report=lambda _, words: progress.report(_KEEPING_PERCENT, words),
                )
            except ServiceError as error:
                if failure.is_of_storage(error) and failure.can_have_it_again(job, attempt):
                    raise
                _log.warning("a result waits to be kept", error=error.detail)
            await asyncio.sleep(self.settlement.look_again.total_seconds())

    def _ring(self, job: Job) -> None:
        topics = [doorbell.subject(job.id)]
        if job.batch_id:
            topics.append(doorbell.subject(job.batch_id))
        if job.status in (JobStatus.QUEUED, JobStatus.WAITING):
            topics.append(doorbell.lane(job.lane))
        self.bell.ring(*topics)


def _time_left(job: Job, attempt: Attempt | None) -> float:
    """Return the seconds until the job's time is up, counted from its first start."""
    if job.started_at is None:
        return job.timeout_s
    left = (job.started_at + job.timeout - datetime.now(UTC)).total_seconds()
    return max(left, 0.001 if attempt is None else _LAST_LOOK_S)


def _gone_at(keep_s: float | None) -> datetime | None:
    """Return when what is made now goes by itself."""
    return None if keep_s is None else datetime.now(UTC) + timedelta(seconds=keep_s)


def _is_overdue(job: Job) -> bool:
    return job.started_at is not None and datetime.now(UTC) >= job.started_at + job.timeout
