"""A worker with all its parts in one process, and doubles that a test can break."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import OperationalError

from safelight.accounts.signatures import Signatures
from safelight.assets.asset import NewAsset
from safelight.assets.intake import Intake, Origin
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.service import Assets
from safelight.cpu import CpuPool, Report
from safelight.db.engine import Database, Work
from safelight.doorbell import doorbell
from safelight.doorbell.memory import MemoryDoorbell
from safelight.errors import Forbidden
from safelight.jobs.callbacks import Callbacks
from safelight.jobs.job import Attempt, AttemptState, Job, JobStatus, Outcome
from safelight.jobs.ledger import attempts
from safelight.jobs.ledger.callback_store import Woken
from safelight.jobs.scheduling import claims
from safelight.providers.local.fake import FakeProvider
from safelight.providers.provider import (
    Absent,
    AttemptHandle,
    Callback,
    Canceled,
    Done,
    Failed,
    Lane,
    LostStart,
    MediaFile,
    News,
    Pending,
    ProviderRequest,
)
from safelight.providers.registry import Registry
from safelight.storage.storage import Storage
from safelight.worker.attempt.run import Runner
from safelight.worker.upkeep.janitor import Janitor
from safelight.worker.upkeep.metrics import Signals
from safelight.worker.upkeep.retention import Retention
from safelight.worker.worker import Worker, WorkerRules
from tests import factories
from tests.factories import reread
from tests.servers import wait_until_async

T = TypeVar("T")

MOMENT = timedelta(milliseconds=50)
SOON = timedelta(milliseconds=200)
LONG = timedelta(seconds=30)
EVER = 10**6
_NUMBERS = count(1)


class OddProvider(FakeProvider):
    """The fake provider, which a test can hold up, break, or make say odd things."""

    def __init__(self, ledger: Path) -> None:
        super().__init__(ledger)
        self.start_gate = opened()
        self.check_gate = opened()
        self.start_error: Exception | None = None
        self.check_error: Exception | None = None
        self.cancel_error: Exception | None = None
        self.verdict: Failed | None = None
        self.verdict_at_once: Failed | None = None  # of a start
        self.pending: Pending | None = None
        self.progress = 10.0
        self.let_go: list[str] = []
        self.adopts_within = timedelta()
        self.look_up_errors: list[Exception] = []
        self.known: dict[str, str | Absent] = {}  # by attempt, the answers to lookups
        self.urls: dict[str, str] = {}  # callback addresses by prompt

    async def start(
        self, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        self.urls[request.prompt] = attempt.callback_url or ""
        try:
            found = await super().start(request, attempt)
            attempt.report(self.progress, "a\x00\ud800 stage")
            await self.start_gate.wait()
        except asyncio.CancelledError:
            self.let_go.append(request.prompt)
            raise
        if self.start_error is not None:
            raise self.start_error
        return self.verdict_at_once or self.pending or found

    async def check(
        self, ticket: str, request: ProviderRequest, attempt: AttemptHandle
    ) -> Done | Failed | Pending:
        if attempt.news is not None:
            return self._done(request, attempt)  # the vendor need not be asked
        found = await super().check(ticket, request, attempt)
        await self.check_gate.wait()
        if self.check_error is not None:
            raise self.check_error
        return self.verdict or found

    async def parse_callback(self, callback: Callback) -> News:
        if callback.headers.get("x-proof") == "forged":
            raise Forbidden("Nobody we know sent this.")
        ticket = json.loads(callback.body).get("ticket")
        return News(callback.attempt_id, ticket, is_proven=callback.headers.get("x-proof") == "ok")

    async def look_up(self, lost: LostStart) -> str | Absent | None:
        if self.look_up_errors:
            raise self.look_up_errors.pop()
        return self.known.get(lost.attempt_id)

    async def cancel(self, ticket: str) -> Canceled:
        found = await super().cancel(ticket)
        if self.cancel_error is not None:
            raise self.cancel_error
        return found


def opened() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


class OddIntake(Intake):
    """Assets whose storage fails as often as a test says, or which a test overtakes."""

    failures: list[Exception]
    overtake: Callable[[], Awaitable[object]] | None = None

    async def keep_media(
        self, media: MediaFile, origin: Origin, position: int, *, report: Report | None = None
    ) -> NewAsset:
        if self.failures:
            raise self.failures.pop(0)
        row = await super().keep_media(media, origin, position, report=report)
        if self.overtake is not None:
            await self.overtake()
        return row


@dataclass
class FlakyDatabase:
    """A database that is away for as many calls of the named work as a test says.

    The answer to a commit of `slow` work comes when its gate opens; `entered` says that one waits.
    """

    behind: Database
    away: Counter[str] = field(default_factory=Counter[str])
    slow: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def write(self, work: Work[T]) -> T:
        self._look(work)
        result = await self.behind.write(work)
        for name, gate in list(self.slow.items()):
            if name in work.__qualname__:
                self.entered.set()
                await gate.wait()  # the answer to the commit takes its time
        return result

    async def read(self, work: Work[T]) -> T:
        self._look(work)
        return await self.behind.read(work)

    async def look(self, work: Work[T]) -> T:
        self._look(work)
        return await self.behind.look(work)

    async def close(self) -> None:
        await self.behind.close()

    def _look(self, work: Any) -> None:
        for name, times in self.away.items():
            if times and name in work.__qualname__:
                self.away[name] -= 1
                raise OperationalError("away", {}, Exception("away"))


@dataclass
class Workshop:
    """All the parts of one process, put together as app.py does."""

    database: FlakyDatabase
    bell: MemoryDoorbell
    provider: OddProvider
    registry: Registry
    runner: Runner
    assets: Assets
    intake: OddIntake
    account: str
    ledger_file: Path
    storage: Storage
    pool: CpuPool

    def worker(
        self,
        *,
        slots: int = 8,
        lease: timedelta = LONG,
        grace: timedelta = timedelta(),
        look_every: timedelta = SOON,
    ) -> Worker:
        rules = WorkerRules({Lane.REMOTE: slots}, lease, look_every, grace)
        return Worker(self.database, self.bell, self.runner, rules)

    @property
    def trash(self) -> Trash:
        return factories.trash(self.database, self.assets, self.storage, self.ledger_file.parent)

    def janitor(self, *, lease: timedelta = timedelta(), interval: timedelta = MOMENT) -> Janitor:
        return Janitor(
            self.database,
            self.bell,
            self.registry,
            Signals(self.database, None),
            Retention(self.database, events_kept=None, jobs_kept=None),
            assets=self.assets,
            trash=self.trash,
            interval=interval,
            lease=lease,
            sole_worker=True,
        )

    async def queue(self, *, params: dict[str, Any] | None = None, **changes: Any) -> Job:
        defaults = {"seconds": 0, "pending": False, "outputs": 0, "errors": []}
        changes.setdefault("prompt", f"job {next(_NUMBERS)}")
        return await factories.queue(
            self.database.behind, self.account, params=defaults | (params or {}), **changes
        )

    async def report(
        self, job: Job, *, proof: str = "ok", ticket: str | None = None, url: str = ""
    ) -> Woken | None:
        """Report the job as its provider would; ring as the edge does."""
        token = (url or self.provider.urls[job.prompt]).rpartition("/")[2]
        callbacks = Callbacks(self.database, self.registry, Signatures(self.database))
        body = json.dumps({"ticket": ticket}).encode()
        woken = await callbacks.receive("fake", token, {"X-Proof": proof}, body)
        if woken is not None:
            self.bell.ring(doorbell.lane(woken.lane))
        return woken

    async def look(self, job: Job) -> Job:
        return await self.database.behind.read(lambda tx: reread(tx, job))

    async def until(self, job: Job, *statuses: JobStatus, deadline_s: float = 10) -> Job:
        async def there() -> Job | None:
            now = await self.look(job)
            return now if now.status in statuses else None

        found = await wait_until_async(there, deadline_s)
        assert found is not None
        return found

    async def attempts(self, job: Job) -> list[Attempt]:
        return await self.database.behind.read(lambda tx: attempts.of_job(tx, job.id))

    async def until_sent(self, job: Job) -> None:
        async def sent() -> bool:
            return bool(self.calls(job)["start"])

        await wait_until_async(sent)

    def calls(self, job: Job) -> Counter[str]:
        """Return how often the provider was called for the job, from its own ledger."""
        if not self.ledger_file.exists():
            return Counter()
        lines = [json.loads(line) for line in self.ledger_file.read_text().splitlines()]
        return Counter(line["what"] for line in lines if line["prompt"] in (job.prompt, ""))


@asynccontextmanager
async def working(worker: Worker, *janitors: Janitor) -> AsyncIterator[None]:
    """Run a worker, and janitors beside it, until the block ends; then stop it."""
    async with asyncio.TaskGroup() as group:
        cleaning = [group.create_task(janitor.run()) for janitor in janitors]
        running = group.create_task(worker.run())
        try:
            yield
        finally:
            worker.stop()
            await running
            for task in cleaning:
                task.cancel()


async def until_closed(shop: Workshop, job: Job, outcome: Outcome) -> Attempt:
    async def closed() -> Attempt | None:
        last = (await shop.attempts(job))[-1]
        return last if last.state is AttemptState.CLOSED else None

    found = await wait_until_async(closed)
    assert found is not None
    assert found.outcome is outcome
    return found


async def kill(shop: Workshop, running: asyncio.Task[None]) -> None:
    """End a worker as `kill -9` would: it writes nothing more, and its leases run out."""
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await shop.database.write(claims.end_all_leases)
