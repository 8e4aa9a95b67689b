"""Opens a Safelight process: its database, storage and vendors; composed.py builds the parts."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from safelight import configured
from safelight.accounts.signatures import Signatures
from safelight.assets.repair import Repairer
from safelight.assets.service import Assets
from safelight.composed import Parts, compose
from safelight.cpu import CpuPool
from safelight.datadir import NoInstallation, claim_data_dir, make_data_dir, scratch_folder
from safelight.db.address import is_file_there
from safelight.db.engine import Database, open_database
from safelight.db.migrate import is_migrated, migrate
from safelight.db.pooler import refuse_transaction_pooling
from safelight.doorbell.open import open_doorbell
from safelight.fetch import Fetcher, Poster
from safelight.foundation import ALL_ROLES, Foundation, ProcessRole
from safelight.jobs.scheduling import claims, presence
from safelight.providers.local.fake import FakeProvider, FakeQueue
from safelight.providers.local.inflate import InflateProvider
from safelight.providers.local.link import LinkProvider
from safelight.providers.local.sketch import SketchProvider
from safelight.providers.open import open_vendors
from safelight.providers.provider import Provider
from safelight.settings import Settings
from safelight.storage.storage import Storage
from safelight.web.services import Services

__all__ = ["ALL_ROLES", "Offline", "ProcessRole", "Safelight", "open_offline", "open_safelight"]

USED_IN_CHILDREN = (
    "resvg_py",
    "safelight.media.models.look",
    "safelight.media.pictures.render",
    "safelight.media.pictures.reshape",
    "safelight.providers.local.inflate.sculpt",
    "safelight.providers.local.sketch.drawing:preload",
    "scipy.ndimage",
    "scipy.sparse.linalg",
)


@dataclass(frozen=True, slots=True)
class Safelight:
    """One process: serves requests, runs jobs, cleans up and notifies, as its `roles` say."""

    settings: Settings
    roles: frozenset[ProcessRole]
    parts: Parts
    pool: CpuPool

    @property
    def url(self) -> str:
        """The public base URL of this server."""
        return self.services.public_url

    @property
    def services(self) -> Services:
        """The services behind the routes."""
        return self.parts.services

    @property
    def asgi(self) -> ASGIApp:
        """The web application."""
        return self.parts.asgi()

    async def warm(self) -> None:
        """Start the child processes before the first job needs them."""
        await self.pool.warm()

    async def work(self) -> None:
        """Run the parts of the roles until `stop`, then finish the jobs in flight."""
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(part.run())
                for role, part in (
                    (ProcessRole.JANITOR, self.parts.janitor),
                    (ProcessRole.NOTIFIER, self.parts.notifier),
                    (ProcessRole.NOTIFIER, self.parts.messenger),
                )
                if role in self.roles
            ]
            if ProcessRole.API in self.roles:
                background.append(group.create_task(self.parts.key_use.run()))
                background.append(group.create_task(self.parts.post.run()))
            if self.roles - {ProcessRole.API}:
                background.append(group.create_task(self.parts.presence.run()))
            if ProcessRole.WORKER in self.roles:
                await self.parts.worker.run()
            else:
                await self.services.stopping.wait()
            for task in background:
                task.cancel()

    def stop(self) -> None:
        """End streams, claim nothing more, and let `work` return."""
        self.services.stopping.set()
        self.parts.worker.stop()


@asynccontextmanager
async def open_safelight(
    settings: Settings, roles: frozenset[ProcessRole] = ALL_ROLES
) -> AsyncGenerator[Safelight]:
    """Yield a Safelight with its database migrated and everything connected; close it afterwards.

    Raises `DataDirectoryInUse` where another process needs the same data directory for itself.
    """
    settings = await configured.with_aws_secrets(settings)
    data = settings.data_dir
    url = configured.database_url(settings)
    sole = url.startswith("sqlite:")
    async with AsyncExitStack() as stack:
        stack.enter_context(claim_data_dir(data, alone=sole))
        scratch = stack.enter_context(scratch_folder(data / "scratch"))
        storage = configured.storage(settings)
        await refuse_transaction_pooling(url, "SAFELIGHT_DATABASE_URL")
        database = open_database(url, configured.seal(settings))
        stack.push_async_callback(database.close)
        pool = CpuPool(settings.local_slots or os.cpu_count() or 1, modules=USED_IN_CHILDREN)
        stack.callback(pool.close)
        fetcher = await stack.enter_async_context(Fetcher(configured.fetch_policy(settings)))
        poster = await stack.enter_async_context(Poster(configured.fetch_policy(settings)))
        await migrate(database)
        # The lock on the data directory proves that the holders of these leases are dead.
        if sole:
            await database.write(claims.end_all_leases)
            await database.write(presence.leave_all)
        links = configured.links(settings, await Signatures(database).files_key())
        direct = configured.direct(settings, storage)
        rings = configured.doorbell_url(settings)
        if rings != url:
            await refuse_transaction_pooling(rings, "SAFELIGHT_DOORBELL_URL")
        bell = await stack.enter_async_context(open_doorbell(rings))
        catalogue = configured.catalogue(settings)
        vendors = await open_vendors(configured.vendors(settings), catalogue, fetcher, stack)
        providers = [*_built_in(settings, pool, fetcher), *vendors]
        tokens, oidc = await configured.issuers(settings, database, stack)
        foundation = Foundation(
            database,
            storage,
            links,
            direct,
            await configured.file_origins(settings, direct),
            bell,
            pool,
            fetcher,
            poster,
            providers,
            catalogue,
            tokens,
            oidc,
            scratch,
            sole,
        )
        yield Safelight(settings, roles, compose(settings, roles, foundation), pool)


@dataclass(frozen=True, slots=True)
class Offline:
    """An opened installation without a server: its database, files and repair."""

    database: Database
    storage: Storage
    assets: Assets
    remaking: Repairer
    scratch: Path


@asynccontextmanager
async def open_offline(settings: Settings, *, create: bool = False) -> AsyncGenerator[Offline]:
    """Yield what an installation keeps, its database migrated; a server may run meanwhile.

    Raises `NoInstallation` where there is none yet, unless it may `create` one.
    """
    settings = await configured.with_aws_secrets(settings)
    url = configured.database_url(settings)
    if not create and not is_file_there(url):
        raise NoInstallation(_none_yet(url))
    make_data_dir(settings.data_dir)
    await refuse_transaction_pooling(url, "SAFELIGHT_DATABASE_URL")
    async with AsyncExitStack() as stack:
        scratch = stack.enter_context(scratch_folder(settings.data_dir / "scratch"))
        storage = configured.storage(settings)
        database = open_database(url, configured.seal(settings))
        stack.push_async_callback(database.close)
        if not create and not await is_migrated(database):
            raise NoInstallation(_none_yet(url))
        pool = CpuPool(1)
        stack.callback(pool.close)
        await migrate(database)
        assets = Assets(database, storage, configured.cdn(settings))
        remaking = Repairer(storage, pool, configured.inspect_rules(settings), scratch=scratch)
        yield Offline(database, storage, assets, remaking, scratch)


def _none_yet(url: str) -> str:
    where = url.removeprefix("sqlite:///") if url.startswith("sqlite:") else "the database"
    return (
        f"There is no installation in {where}. SAFELIGHT_DATA_DIR and SAFELIGHT_DATABASE_URL say "
        "where it is; `safelight serve` and `safelight restore` make one."
    )


def _built_in(settings: Settings, pool: CpuPool, fetcher: Fetcher) -> list[Provider]:
    installed: list[Provider] = [
        SketchProvider(pool),
        InflateProvider(pool, saliency=configured.mask_network(settings)),
        LinkProvider(fetcher),
    ]
    if settings.fake_provider:
        ledger = settings.data_dir / "fake-ledger.jsonl"
        installed += [FakeProvider(ledger), FakeQueue(ledger)]
    return installed
