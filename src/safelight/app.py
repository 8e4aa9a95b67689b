"""Puts Safelight together: read this first to see which part is made of which."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path

import anyio.to_thread
from starlette.types import ASGIApp

from safelight.accounts.service import Accounts
from safelight.assets.inspect import InspectRules
from safelight.assets.service import Assets
from safelight.cpu import CpuPool
from safelight.datadir import claim_data_dir
from safelight.db.engine import Database, open_database
from safelight.db.migrate import is_current, migrate
from safelight.doorbell.memory import MemoryDoorbell
from safelight.errors import ServiceError, StorageFull
from safelight.fetch import Fetcher, FetchPolicy, check_url
from safelight.jobs import claims
from safelight.jobs.retry import RetryPolicy
from safelight.jobs.service import Jobs
from safelight.providers.fake import FakeProvider
from safelight.providers.inflate import InflateProvider
from safelight.providers.link import LinkProvider
from safelight.providers.provider import Lane, Provider
from safelight.providers.registry import Registry
from safelight.providers.sketch import SketchProvider
from safelight.settings import Settings
from safelight.storage.storage import open_disk
from safelight.web import server
from safelight.web.services import Limits, Services
from safelight.worker.janitor import Janitor
from safelight.worker.run import Runner
from safelight.worker.worker import Worker, WorkerRules

_USED_IN_CHILDREN = ("numpy", "pyvips", "resvg_py", "scipy.ndimage", "scipy.sparse.linalg")


@dataclass(frozen=True, slots=True)
class Safelight:
    """One process that does everything: answers requests, runs jobs, cleans up."""

    settings: Settings
    services: Services
    asgi: ASGIApp
    worker: Worker
    janitor: Janitor
    pool: CpuPool

    @property
    def url(self) -> str:
        """The address that others reach this server by."""
        return self.services.public_url

    async def warm(self) -> None:
        """Start the computing processes before the first job needs them."""
        await self.pool.warm(_USED_IN_CHILDREN)

    async def work(self) -> None:
        """Run jobs and the janitor until `stop`, then settle what is running."""
        async with asyncio.TaskGroup() as group:
            cleaning = group.create_task(self.janitor.run())
            await self.worker.run()
            cleaning.cancel()

    def stop(self) -> None:
        """End streams, claim nothing more, and let `work` return."""
        self.services.stopping.set()
        self.worker.stop()


@asynccontextmanager
async def open_safelight(settings: Settings) -> AsyncIterator[Safelight]:
    """Yield a Safelight with its database migrated and everything connected; close it afterwards.

    Raises `DataDirectoryInUse` where another process serves the same data directory.
    """
    data = settings.data_dir
    with claim_data_dir(data):
        database = open_database(settings.database_url or f"sqlite:///{data / 'safelight.db'}")
        pool = CpuPool(settings.local_slots or os.cpu_count() or 1)
        try:
            async with Fetcher(_fetch_policy(settings)) as fetcher:
                await migrate(database)
                # The lock on the data directory says that whoever held these leases is dead.
                sole_worker = database.url.startswith("sqlite:")
                if sole_worker:
                    await database.write(claims.end_all_leases)
                yield _compose(settings, database, pool, fetcher, sole_worker=sole_worker)
        finally:
            pool.close()
            await database.close()


def _compose(
    settings: Settings, database: Database, pool: CpuPool, fetcher: Fetcher, *, sole_worker: bool
) -> Safelight:
    bell = MemoryDoorbell()
    storage = open_disk(settings.data_dir / "objects")
    scratch = _empty_folder(settings.data_dir / "scratch")
    registry = Registry(_providers(settings, pool, fetcher))
    assets = Assets(database, storage, pool, InspectRules(max_pixels=settings.max_pixels))
    slots = _slots(settings, pool)
    look_every = timedelta(seconds=settings.janitor_interval_s)
    policy = RetryPolicy(
        timedelta(seconds=settings.retry_base_s), timedelta(seconds=settings.retry_cap_s)
    )
    worker = Worker(
        database,
        bell,
        Runner(database, bell, registry, assets, fetcher, policy, scratch),
        WorkerRules(slots, settings.lease, look_every, timedelta(seconds=settings.grace_s)),
    )
    janitor = Janitor(
        database,
        bell,
        registry,
        interval=look_every,
        lease=settings.lease,
        sole_worker=sole_worker,
    )
    space = _DiskGuard(settings.data_dir, settings.min_free_bytes).check
    services = Services(
        accounts=Accounts(database),
        jobs=Jobs(database, registry, assets, max_attempts=settings.max_attempts, slots=slots),
        assets=assets,
        storage=storage,
        registry=registry,
        bell=bell,
        limits=_limits(settings),
        check_url=partial(check_url, policy=_fetch_policy(settings)),
        check_space=space,
        checks={
            "database": partial(_check_schema, database),
            "storage": storage.check,
            "disk": space,
        },
        scratch=scratch,
        public_url=_public_url(settings),
    )
    return Safelight(settings, services, _web(services), worker, janitor, pool)


def _slots(settings: Settings, pool: CpuPool) -> dict[str, int]:
    return {
        Lane.LOCAL.value: pool.size,
        Lane.INGEST.value: settings.ingest_slots,
        Lane.REMOTE.value: settings.remote_slots,
    }


def _web(services: Services) -> ASGIApp:
    app = server.build(services, version=version("safelight"))
    return server.wrap(app, services)


def _providers(settings: Settings, pool: CpuPool, fetcher: Fetcher) -> list[Provider]:
    installed: list[Provider] = [
        SketchProvider(pool),
        InflateProvider(pool),
        LinkProvider(fetcher),
    ]
    if settings.fake_provider:
        installed.append(FakeProvider(settings.data_dir / "fake-ledger.jsonl"))
    return installed


def _fetch_policy(settings: Settings) -> FetchPolicy:
    return FetchPolicy(
        own_files=f"{_public_url(settings)}/files/",
        allow_private=settings.fetch_allow_private,
        ports=frozenset(int(port) for port in settings.fetch_ports.split(",")),
        max_bytes=settings.fetch_max_bytes,
        total_s=settings.fetch_total_s,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        body_bytes=settings.max_body_bytes,
        file_bytes=settings.max_file_bytes,
        upload_bytes=settings.max_upload_bytes,
        batch_files=settings.max_batch_files,
        batch_urls=settings.max_batch_urls,
        wait_s=settings.max_wait_s,
    )


def _public_url(settings: Settings) -> str:
    return settings.public_url.rstrip("/") or f"http://{settings.host}:{settings.port}"


def _empty_folder(path: Path) -> Path:
    """Return `path` with nothing in it: what a killed process left in scratch is of no use."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


class _DiskGuard:
    """Refuses new work when the disk is nearly full; looks at it at most once a second."""

    def __init__(self, folder: Path, least: int) -> None:
        self._folder = folder
        self._least = least
        self._free = 0
        self._looked_at = float("-inf")

    async def check(self) -> None:
        if time.monotonic() - self._looked_at > 1:
            usage = await anyio.to_thread.run_sync(shutil.disk_usage, self._folder)
            self._free, self._looked_at = usage.free, time.monotonic()
        if self._free < self._least:
            raise StorageFull(f"{self._free} bytes are free; {self._least} are kept back.")


async def _check_schema(database: Database) -> None:
    if not await is_current(database):
        raise ServiceError("The database's schema is not the one that this version needs.")
