"""Fixtures of the tests that need a database with all tables."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from safelight.accounts.signatures import Signatures
from safelight.assets.intake import Intake
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.service import Assets
from safelight.cpu import CpuPool
from safelight.db.engine import Database, open_database
from safelight.doorbell.memory import MemoryDoorbell
from safelight.fetch import Fetcher, FetchPolicy
from safelight.jobs.callbacks import CallbackAddresses
from safelight.jobs.retry import RetryPolicy
from safelight.jobs.service import Jobs
from safelight.jobs.submit import Submitter
from safelight.media.pictures.inspect import InspectRules
from safelight.providers.local.fake import FakeProvider
from safelight.providers.local.link import LinkProvider
from safelight.providers.registry import Registry
from safelight.storage.disk import DiskStorage
from safelight.worker.attempt.run import Runner
from safelight.worker.attempt.settlement import Settlement
from safelight.worker.attempt.writes import Writes
from safelight.worker.senders.webhooks import Notifier
from tests import factories
from tests.household import Household, household
from tests.receivers import Receiver, notifying, receiving
from tests.workshop import MOMENT, SOON, FlakyDatabase, OddIntake, OddProvider, Workshop


@pytest.fixture
async def database(migrated_database_url: str) -> AsyncIterator[Database]:
    """A database of each kind in turn, with all tables and no rows."""
    opened = open_database(migrated_database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def account(database: Database) -> str:
    """The id of an account in that database."""
    return await factories.new_account(database)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A server to be told by webhooks."""
    async with receiving() as running:
        yield running


@pytest.fixture
async def notifier(database: Database) -> AsyncIterator[Notifier]:
    """The notifier, which may call this machine; a receiver has two seconds to answer."""
    async with notifying(database) as running:
        yield running


@pytest.fixture
async def pool() -> AsyncIterator[CpuPool]:
    """Child processes for what is heavy."""
    opened = CpuPool(2)
    yield opened
    opened.close()


@pytest.fixture
def storage(tmp_path: Path) -> DiskStorage:
    """Objects in an empty folder."""
    return DiskStorage(tmp_path / "objects")


@pytest.fixture
def assets(database: Database, storage: DiskStorage) -> Assets:
    """Assets kept in that database and that folder."""
    return Assets(database, storage)


@pytest.fixture
def intake(database: Database, storage: DiskStorage, pool: CpuPool) -> Intake:
    """The intake of files into assets."""
    return Intake(database, storage, pool, InspectRules(max_pixels=10**6))


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    """The file in which the fake provider records each call."""
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def registry(ledger_file: Path) -> Registry:
    """The fake provider, and `link` for imports, which no test here lets download."""
    return Registry([FakeProvider(ledger_file), LinkProvider(Fetcher(FetchPolicy()))])


@pytest.fixture
def trash(database: Database, assets: Assets, storage: DiskStorage, tmp_path: Path) -> Trash:
    """The trash, which keeps deleted assets for a week."""
    return factories.trash(database, assets, storage, tmp_path)


@pytest.fixture
def jobs(database: Database, assets: Assets, trash: Trash) -> Jobs:
    """The service for jobs."""
    return Jobs(database, assets, trash, slots={"remote": 8})


@pytest.fixture
def submits(database: Database, registry: Registry) -> Submitter:
    """The service that submits jobs."""
    return Submitter(database, registry, max_attempts=3)


@pytest.fixture
async def shop(
    database: Database, pool: CpuPool, account: str, ledger_file: Path, tmp_path: Path
) -> AsyncIterator[Workshop]:
    """A worker's parts, put together as app.py does."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    provider = OddProvider(ledger_file)
    registry = Registry([provider])
    flaky = FlakyDatabase(database)
    bell = MemoryDoorbell()
    policy = RetryPolicy(MOMENT, SOON)
    storage = DiskStorage(tmp_path / "objects")
    assets = Assets(flaky, storage)
    intake = OddIntake(flaky, storage, pool, InspectRules(max_pixels=10**6))
    intake.failures = []
    async with Fetcher(FetchPolicy()) as fetcher:
        settlement = Settlement(flaky, assets, policy, Writes(flaky), look_again=MOMENT)
        addresses = CallbackAddresses("https://safelight.test", Signatures(flaky))
        results = tmp_path / "results"
        runner = Runner(
            flaky, bell, registry, assets, intake, fetcher, settlement, addresses, scratch, results
        )
        yield Workshop(
            flaky,
            bell,
            provider,
            registry,
            runner,
            assets,
            intake,
            account,
            ledger_file,
            storage,
            pool,
        )
    assert list(scratch.iterdir()) == [], "every run removed its folder"


@pytest.fixture(scope="module")
async def home(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Household]:
    """One whole server for the module, with an owner's things and a stranger."""
    del anyio_backend
    async with household(tmp_path_factory.mktemp("home")) as opened:
        yield opened
