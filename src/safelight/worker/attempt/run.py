"""One attempt at one job, from the claim to its settlement; read it top to bottom."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from safelight import telemetry
from safelight.assets import store as asset_store
from safelight.assets.errors import ObjectsSwept
from safelight.assets.intake import Intake
from safelight.assets.service import Assets
from safelight.cpu import OutOfResources
from safelight.db.engine import Database
from safelight.doorbell.doorbell import Doorbell
from safelight.errors import NotFound, SafelightError, ServiceError
from safelight.fetch import Fetcher
from safelight.ids import PREFIXES
from safelight.jobs.callbacks import CallbackAddresses
from safelight.jobs.inputs import JobInput
from safelight.jobs.job import Attempt, AttemptState, Ground, Job, StaleJob
from safelight.jobs.ledger import attempts, callback_store
from safelight.jobs.ledger.moves import Parking
from safelight.jobs.topics import topics_of
from safelight.media.errors import MediaError
from safelight.providers.errors import ProviderError, UnknownModel, UnknownOutcome
from safelight.providers.provider import (
    Absent,
    Done,
    Failed,
    InputFile,
    Pending,
    Provider,
    ProviderRequest,
)
from safelight.providers.registry import Registry
from safelight.worker.attempt import verdict
from safelight.worker.attempt.keeper import Keeper
from safelight.worker.attempt.progress import ProgressWriter, percent, stage
from safelight.worker.attempt.request import lost_start, request_of
from safelight.worker.attempt.run_state import Recovery, Run
from safelight.worker.attempt.settlement import Settlement
from safelight.worker.attempt.shielded import scratch_folder, to_the_end
from safelight.worker.attempt.tickets import secure
from safelight.worker.attempt.verdict import Judgment, LookFailed, NotBegun, Situation

_log = telemetry.logger(__name__)

_LAST_LOOK_S = 30.0  # a last lookup after the job's timeout, because finished work is paid for


@dataclass(frozen=True, slots=True)
class Runner:
    """The dependencies of a run."""

    database: Database
    bell: Doorbell
    registry: Registry
    assets: Assets
    intake: Intake
    fetcher: Fetcher
    settlement: Settlement
    addresses: CallbackAddresses
    scratch: Path
    results: Path  # for results that are not stored yet
    keep_s: float | None = None  # default retention of outputs

    @property
    def keeper(self) -> Keeper:
        """Keeps the results of these runs."""
        return Keeper(
            self.database, self.bell, self.intake, self.settlement, self.results, self.keep_s
        )

    async def run(self, run: Run) -> None:
        """Run the claimed job as far as possible now, and settle it.

        Raises `StaleJob` if another process has moved the job, and propagates cancellation; in both
        cases nothing is settled here.
        """
        began = time.monotonic()
        job = run.job
        async with scratch_folder(self.scratch) as folder:
            settled = await self._attempt(run, folder)
        seconds = time.monotonic() - began
        status = settled.status.value
        telemetry.ATTEMPT_SECONDS.labels(job.provider, status).observe(seconds)
        failed = (
            {name: settled.error.get(name) for name in ("code", "detail")} if settled.error else {}
        )
        _log.info("job settled", status=status, **failed, seconds=round(seconds, 3))
        self._ring(settled)

    async def _attempt(self, run: Run, folder: Path) -> Job:
        attempt = await self._under_way(run)
        if attempt is None and not run.time_left():  # its time ran out while it waited
            late = verdict.too_late(run.job)
            judge = partial(verdict.not_begun, error=late, ground=Ground.UNSENT)
            return await self._settle(run, None, judge)
        limit = asyncio.timeout(_seconds_left(run, attempt))
        try:
            async with limit:
                request = await self._prepare(run.job, attempt, folder)
                if attempt is None:
                    attempt = await self._open(run)
                answer = await self._ask_provider(run, attempt, request)
                if _is_new(attempt) and isinstance(answer, Pending) and not answer.check_after:
                    attempt = replace(attempt, state=AttemptState.TICKETED, ticket=answer.ticket)
                    answer = await self._ask_provider(run, attempt, request, answer.news)
        except StaleJob:
            raise
        except Exception as error:  # noqa: BLE001  any error must settle the job
            return await self._unanswered(run, attempt, error, timed_out=limit.expired())
        return await self._answered(run, attempt, answer, folder)

    async def _answered(
        self,
        run: Run,
        attempt: Attempt,
        answer: Done | Failed | Pending | Absent | None,
        folder: Path,
    ) -> Job:
        match answer:
            case Pending():
                return await self._park(run, attempt, answer)
            case Done():
                return await self._take(run, attempt, answer, folder)
            case Failed(error, cost):
                return await self._settle(
                    run, attempt, lambda at: verdict.by_verdict(at, error, cost)
                )
            case None:
                grace = self.settlement.grace
                return await self._settle(run, attempt, lambda at: verdict.unheard(at, grace))
            case Absent.ABSENT:
                grace = self.settlement.grace
                return await self._settle(run, attempt, lambda at: verdict.absent(at, grace))

    async def _under_way(self, run: Run) -> Attempt | None:
        """Return the attempt opened by an earlier claim; only a `waiting` job has one."""
        if not run.resumes:
            return None
        return await self.settlement.insist(
            lambda: self.database.read(lambda tx: attempts.current(tx, run.job.id))
        )

    async def _unanswered(
        self, run: Run, attempt: Attempt | None, error: Exception, *, timed_out: bool
    ) -> Job:
        """Settle a run that failed without a response; the verdict depends on how far it got."""
        match error:
            case NotBegun(error=known, ground=ground):
                judge = partial(verdict.not_begun, error=known, ground=ground)
            case LookFailed(error=known):
                judge = partial(verdict.look_failed, error=known)
            case _:
                known = verdict.name(error, run.job, timed_out=timed_out)
                if attempt is None:
                    judge = partial(verdict.not_begun, error=known, ground=Ground.UNSENT)
                elif _is_new(attempt):
                    judge = partial(verdict.answer_lost, error=known)
                else:
                    judge = partial(verdict.look_failed, error=known)
        return await self._settle(run, attempt, judge)

    async def _settle(
        self, run: Run, attempt: Attempt | None, judge: Callable[[Situation], Judgment]
    ) -> Job:
        adopts_within = timedelta()
        if attempt is not None:
            try:
                adopts_within = self.registry.provider(attempt.provider).adopts_within
            except UnknownModel as error:
                _log.warning("provider is no longer installed", error=error.detail)
        return await self.settlement.settle(run, attempt, judge, adopts_within)

    # --- the steps ---------------------------------------------------------------------------

    async def _prepare(self, job: Job, attempt: Attempt | None, folder: Path) -> ProviderRequest:
        """Download the inputs, unless the provider has them already.

        Nothing has been sent yet, so a failure here costs nothing.
        """
        wanted = job.inputs if attempt is None else ()
        if wanted:
            await asyncio.to_thread(folder.mkdir)
        inputs = [
            await self._fetch_input(job, JobInput.read(entry), folder / f"input-{index}")
            for index, entry in enumerate(wanted)
        ]
        return request_of(job, inputs, folder / "work" if wanted else folder)

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
        facts = await self.intake.inspect(path, job.account_id)
        return InputFile(path, facts.media_type, fetched.name, wanted.role)

    async def _open(self, run: Run) -> Attempt:
        """Record the attempt before the provider is called.

        From here on the run must not be canceled: a stop during the commit would leave it unknown
        whether the provider was called.
        """
        self.registry.provider(run.job.provider)  # raises if it is no longer installed
        run.recovery = Recovery.REPEATABLE if run.job.repeatable else Recovery.SINGULAR
        return await self.settlement.writes.send((run.claim, run.job.provider))

    async def _ask_provider(
        self, run: Run, attempt: Attempt, request: ProviderRequest, news: bytes | None = None
    ) -> Done | Failed | Pending | Absent | None:
        """Return the provider's response; None if it is unknown whether it has the work."""
        is_new = _is_new(attempt)
        try:
            provider = self.registry.provider(attempt.provider)
            url = await self.addresses.of(provider.name, attempt.id)
            news = news or await self._news(run.job, attempt)
        except SafelightError as error:
            raise (NotBegun(error, Ground.UNSENT) if is_new else LookFailed(error)) from error
        ticket = attempt.ticket
        if ticket is None and not is_new:
            if (done := await self.keeper.received(run, attempt)) is not None:
                return done
            found = await self._look_up(provider, run.job, attempt)
            if not isinstance(found, str):
                return found
            ticket = found
        async with ProgressWriter(
            self.settlement.writes.report,
            self.bell,
            run,
            attempt.id,
            callback_url=url,
            news=news,
            glimpse=partial(self.intake.glimpse, account_id=run.job.account_id),
        ) as progress:
            if ticket is None:
                answer = await _start(provider, request, progress)
            else:
                answer = await _check(provider, ticket, request, progress)
            if isinstance(answer, Pending):
                if answer.ticket != ticket:
                    keep = self.settlement.writes.keep_ticket
                    await secure(keep, provider, attempt, answer.ticket)
                run.recovery = Recovery.RESUMABLE
                return answer
        return self._priced(run.job, answer)

    def _priced(self, job: Job, answer: Done | Failed) -> Done | Failed:
        """Return the response, priced by the model if the provider did not state a cost."""
        price = self.registry.price(job.model)
        if answer.cost_micros is not None or price is None:
            return answer
        if isinstance(answer, Failed):
            return replace(answer, cost_micros=price.of_use(answer.usage))
        cost = price.micros(job.params, len(answer.outputs), answer.usage)
        return replace(answer, cost_micros=cost)

    async def _look_up(self, provider: Provider, job: Job, attempt: Attempt) -> str | Absent | None:
        """Look up the ticket of an attempt whose response was lost, and store it."""
        try:
            found = await provider.look_up(lost_start(job, attempt))
        except SafelightError as error:
            raise LookFailed(error) from error
        if isinstance(found, str):
            if await self.database.read(lambda tx: attempts.has_ticket(tx, attempt, found)):
                return None  # it belongs to another, identical request
            await secure(self.settlement.writes.keep_ticket, provider, attempt, found)
        return found

    async def _news(self, job: Job, attempt: Attempt) -> bytes | None:
        """Return the provider's last callback; a job that was never woken has none."""
        if not job.wakes:
            return None
        return await self.database.read(lambda tx: callback_store.latest(tx, attempt.id))

    async def _park(self, run: Run, attempt: Attempt, answer: Pending) -> Job:
        left = run.time_left()
        if not left:
            late = verdict.too_late(run.job)
            return await self._settle(run, attempt, lambda at: verdict.look_failed(at, late))
        job = run.job
        return await self.settlement.insist(
            lambda: self.settlement.writes.park(
                Parking(
                    run.claim,
                    check_after=min(max(answer.check_after, timedelta()), left),
                    wakes=run.job.wakes,
                    stage=stage(answer.stage),
                    progress=job.progress if answer.progress is None else percent(answer.progress),
                    answered=True,
                )
            )
        )

    # --- a result in hand --------------------------------------------------------------------

    async def _take(self, run: Run, attempt: Attempt, answer: Done, folder: Path) -> Job:
        """Store the result and finish the job; it is paid for, so outages of ours are waited out.

        Raises `ServiceError` if they last longer than `RESULT_WAIT`: then the result stays on disk,
        or at its provider, and another run resumes it.
        """
        deadline = time.monotonic() + self.settlement.result_wait.total_seconds()
        async with self.keeper.in_hand(run, attempt, answer, folder) as done:
            try:
                while True:
                    try:
                        rows = await self.keeper.keep(run, attempt, done.outputs, deadline)
                        return await self.settlement.succeed(run, attempt, done, rows, deadline)
                    except ObjectsSwept as error:
                        _log.warning("storing a result again", error=error.detail)
            except StaleJob:
                raise
            except ServiceError as error:
                if not verdict.can_have_it_again(run.job, attempt):
                    raise
                judge = verdict.answer_lost if run.job.repeatable else verdict.look_failed
                return await self._settle(run, attempt, partial(judge, error=error))
            except SafelightError as error:
                cost = done.cost_micros
                unfit = partial(verdict.result_unfit, error=error, cost=cost)
                return await self._settle(run, attempt, unfit)
            except asyncio.CancelledError:
                await to_the_end(self.settlement.note_cost(attempt, done))
                raise

    def _ring(self, job: Job) -> None:
        self.bell.ring(*topics_of([job]))


async def _start(
    provider: Provider, request: ProviderRequest, progress: ProgressWriter
) -> Done | Failed | Pending:
    try:
        return await provider.start(request, progress)
    except (UnknownOutcome, OutOfResources):
        raise
    except (ProviderError, MediaError) as error:
        raise NotBegun(error, Ground.REFUSED) from error


async def _check(
    provider: Provider, ticket: str, request: ProviderRequest, progress: ProgressWriter
) -> Done | Failed | Pending:
    try:
        return await provider.check(ticket, request, progress)
    except SafelightError as error:
        raise LookFailed(error) from error


def _is_new(attempt: Attempt) -> bool:
    """Return whether this run opened it; an earlier claim's is ticketed or unknown."""
    return attempt.state is AttemptState.SENT


def _seconds_left(run: Run, attempt: Attempt | None) -> float:
    """Return the run's time limit in seconds."""
    return max(run.time_left().total_seconds(), 0.001 if attempt is None else _LAST_LOOK_S)
