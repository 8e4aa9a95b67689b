"""Puts Safelight together: read this first to see which part is made of which."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from pathlib import Path

from starlette.types import ASGIApp

from safelight import configured
from safelight.accounts.service import Accounts
from safelight.accounts.signatures import Signatures
from safelight.assets.derived.conversions import Conversions
from safelight.assets.derived.variants import Variants
from safelight.assets.intake import Intake
from safelight.assets.lifecycle.rekey import Copying
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.lifecycle.visibility import Showing
from safelight.assets.repair import Remaking
from safelight.assets.service import Assets
from safelight.assets.urls import Links
from safelight.assets.usage import StorageUsage
from safelight.audit import Audit
from safelight.configured import Direct
from safelight.cpu import CpuPool
from safelight.datadir import DiskGuard, claim_data_dir, scratch_folder
from safelight.db.engine import Database, open_database
from safelight.db.migrate import is_current, migrate
from safelight.doorbell.doorbell import Doorbell
from safelight.doorbell.open import open_doorbell
from safelight.errors import ServiceError
from safelight.fetch import Fetcher, Poster, check_url
from safelight.jobs.batches import Batches
from safelight.jobs.callbacks import CallbackAddresses, Callbacks
from safelight.jobs.operations import Operations
from safelight.jobs.retry import RetryPolicy
from safelight.jobs.scheduling import claims
from safelight.jobs.service import Jobs
from safelight.jobs.submit import Submits
from safelight.notifications.content import Templates
from safelight.notifications.senders import open_senders
from safelight.notifications.service import Contacts
from safelight.providers.catalogue import Catalogue, changed
from safelight.providers.local.fake import FakeProvider, FakeQueue
from safelight.providers.local.inflate import InflateProvider
from safelight.providers.local.link import LinkProvider
from safelight.providers.local.sketch import SketchProvider
from safelight.providers.open import open_vendors
from safelight.providers.provider import Provider
from safelight.providers.registry import Registry, all_models
from safelight.settings import Settings
from safelight.storage.storage import Storage
from safelight.web import server
from safelight.web.rates import Rates
from safelight.web.services import Services
from safelight.webhooks.service import Webhooks
from safelight.worker.attempt.run import Runner
from safelight.worker.attempt.settlement import Settlement
from safelight.worker.attempt.writes import Writes
from safelight.worker.senders.notices import Messenger
from safelight.worker.senders.webhooks import Notifier
from safelight.worker.upkeep.janitor import Janitor
from safelight.worker.upkeep.metrics import Signals
from safelight.worker.upkeep.retention import Retention
from safelight.worker.worker import Worker, WorkerRules

_USED_IN_CHILDREN = (
    "resvg_py",
    "safelight.media.models.look",
    "scipy.ndimage",
    "scipy.sparse.linalg",
)


class Role(StrEnum):
    """One kind of process of a large installation; a small one has all in one process."""

    API = "api"
    WORKER = "worker"
    JANITOR = "janitor"
    NOTIFIER = "notifier"


ALL_ROLES = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Safelight:
    """One process: answers requests, runs jobs, cleans up, tells others, by its `roles`."""

    settings: Settings
    roles: frozenset[Role]
    services: Services
    asgi: ASGIApp
    worker: Worker
    janitor: Janitor
    notifier: Notifier
    messenger: Messenger
    pool: CpuPool

    @property
    def url(self) -> str:
        """The address that others reach this server by."""
        return self.services.public_url

    async def warm(self) -> None:
        """Start the computing processes before the first job needs them."""
        await self.pool.warm(_USED_IN_CHILDREN)

    async def work(self) -> None:
        """Do what the roles say until `stop`, then settle what is running."""
        async with asyncio.TaskGroup() as group:
            helping = [
                group.create_task(part.run())
                for role, part in (
                    (Role.JANITOR, self.janitor),
                    (Role.NOTIFIER, self.notifier),
                    (Role.NOTIFIER, self.messenger),
                )
                if role in self.roles
            ]
            if Role.WORKER in self.roles:
                await self.worker.run()
            else:
                await self.services.stopping.wait()
            for task in helping:
                task.cancel()

    def stop(self) -> None:
        """End streams, claim nothing more, and let `work` return."""
        self.services.stopping.set()
        self.worker.stop()


@asynccontextmanager
async def open_safelight(
    settings: Settings, roles: frozenset[Role] = ALL_ROLES
) -> AsyncIterator[Safelight]:
    """Yield a Safelight with its database migrated and everything connected; close it afterwards.

    Raises `DataDirectoryInUse` where another process needs the same data directory for itself.
    """
    data = settings.data_dir
    url = configured.database_url(settings)
    sole = url.startswith("sqlite:")
    async with AsyncExitStack() as stack:
        stack.enter_context(claim_data_dir(data, alone=sole))
        scratch = stack.enter_context(scratch_folder(data / "scratch"))
        storage = configured.storage(settings)
        database = open_database(url)
        stack.push_async_callback(database.close)
        pool = CpuPool(settings.local_slots or os.cpu_count() or 1)
        stack.callback(pool.close)
        fetcher = await stack.enter_async_context(Fetcher(configured.fetch_policy(settings)))
        poster = await stack.enter_async_context(Poster(configured.fetch_policy(settings)))
        await migrate(database)
        # The lock on the data directory says that whoever held these leases is dead.
        if sole:
            await database.write(claims.end_all_leases)
        links = configured.links(settings, await Signatures(database).files_key())
        direct = configured.direct(settings, storage)
        bell = await stack.enter_async_context(open_doorbell(configured.doorbell_url(settings)))
        catalogue = configured.catalogue(settings)
        vendors = await open_vendors(configured.vendors(settings), catalogue, fetcher, stack)
        providers = [*_built_in(settings, pool, fetcher), *vendors]
        yield _compose(
            settings,
            roles,
            _Ground(
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
                scratch,
                sole,
            ),
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """What an installation keeps, and what takes care of it beside a server."""

    database: Database
    storage: Storage
    assets: Assets
    remaking: Remaking
    scratch: Path


@asynccontextmanager
async def open_kept(settings: Settings) -> AsyncIterator[Kept]:
    """Yield what an installation keeps, its database migrated; a server may run meanwhile."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with AsyncExitStack() as stack:
        scratch = stack.enter_context(scratch_folder(settings.data_dir / "scratch"))
        storage = configured.storage(settings)
        database = open_database(configured.database_url(settings))
        stack.push_async_callback(database.close)
        pool = CpuPool(1)
        stack.callback(pool.close)
        await migrate(database)
        assets = Assets(database, storage, configured.cdn(settings))
        remaking = Remaking(storage, pool, configured.inspect_rules(settings), scratch=scratch)
        yield Kept(database, storage, assets, remaking, scratch)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What everything else stands on."""

    database: Database
    storage: Storage
    links: Links
    direct: Direct
    file_origins: tuple[str, ...]
    bell: Doorbell
    pool: CpuPool
    fetcher: Fetcher
    poster: Poster
    providers: list[Provider]
    catalogue: Catalogue
    scratch: Path
    is_sole: bool  # no other process uses the database


def _compose(settings: Settings, roles: frozenset[Role], ground: _Ground) -> Safelight:
    database, bell = ground.database, ground.bell
    storage, links = ground.storage, ground.links
    registry = _registry(ground)
    assets = Assets(database, storage, configured.cdn(settings))
    copying = Copying(database, storage, ground.scratch)
    deleted_kept = timedelta(days=settings.deleted_kept_days)
    trash = Trash(database, assets, copying, kept=deleted_kept)
    intake = Intake(
        database,
        storage,
        ground.pool,
        configured.inspect_rules(settings),
        keep_originals=settings.keep_originals,
    )
    slots = configured.slots(settings, ground.pool, ground.catalogue)
    look_every = timedelta(seconds=settings.janitor_interval_s)
    policy = RetryPolicy(
        timedelta(seconds=settings.retry_base_s), timedelta(seconds=settings.retry_cap_s)
    )
    settlement = Settlement(
        database,
        assets,
        policy,
        Writes(database),
        patience=timedelta(hours=settings.unknown_after_hours),
        grace=timedelta() if ground.is_sole else settings.lease,
    )
    signatures = Signatures(database)
    addresses = CallbackAddresses(settings.public_url.rstrip("/"), signatures)
    worker = Worker(
        database,
        bell,
        Runner(
            database,
            bell,
            registry,
            assets,
            intake,
            ground.fetcher,
            settlement,
            addresses,
            ground.scratch,
            settings.data_dir / "results",
            keep_s=settings.outputs_kept_days * 86_400 or None,
        ),
        WorkerRules(
            slots,
            settings.lease,
            look_every,
            timedelta(seconds=settings.grace_s),
            configured.job_limits(settings, ground.catalogue),
        ),
    )
    janitor = Janitor(
        database,
        bell,
        registry,
        Signals(database, sys.stdout if settings.metrics_emf else None),
        Retention(
            database,
            events_kept=configured.days(settings.events_kept_days),
            jobs_kept=configured.days(settings.jobs_kept_days),
        ),
        assets=assets,
        trash=trash,
        interval=look_every,
        lease=settings.lease,
        sole_worker=ground.is_sole,
    )
    notifier = Notifier(database, ground.poster, links)
    topics = configured.topics(settings)
    senders = open_senders(
        mail_url=settings.mail_url.get_secret_value(),
        mail_from=settings.mail_from,
        sms_region=settings.sms_region,
        topics=topics,
        base_url=links.base_url,
    )
    templates = Templates(settings.mail_templates)
    messenger = Messenger(database, senders, templates, links, digest_hour=settings.digest_hour)
    space = DiskGuard(settings.data_dir, settings.min_free_bytes).check
    # A limit of its own: who waits for a picture to look at does not wait behind jobs.
    apart = CpuPool(max(ground.pool.size // 2, 1))
    scratch = ground.scratch
    variants = Variants(database, storage, apart, signatures, scratch, check_space=space)
    conversions = Conversions(database, storage, apart, scratch, check_space=space)
    operations = Operations(database)
    services = Services(
        accounts=Accounts(database),
        jobs=Jobs(database, assets, trash, slots=slots),
        batches=Batches(database),
        callbacks=Callbacks(database, registry, signatures),
        callback_addresses=addresses,
        operations=operations,
        webhooks=Webhooks(database),
        contacts=Contacts(database, senders.keys(), topics),
        templates=templates,
        submits=Submits(database, registry, max_attempts=settings.max_attempts),
        assets=assets,
        showing=Showing(database, assets, copying),
        trash=trash,
        audit=Audit(database),
        storage_usage=StorageUsage(database),
        intake=intake,
        variants=variants,
        conversions=conversions,
        signatures=signatures,
        links=links,
        storage=storage,
        direct=ground.direct,
        registry=registry,
        bell=bell,
        limits=configured.limits(settings),
        file_rates=Rates(settings.file_requests_per_s),
        file_origins=ground.file_origins,
        check_url=partial(check_url, policy=configured.fetch_policy(settings)),
        check_space=space,
        checks={
            "database": partial(_check_schema, database),
            "storage": storage.check,
            "disk": space,
        },
        soft_checks={"doorbell": bell.check, "providers": operations.check_providers},
        scratch=ground.scratch,
        currency=ground.catalogue.currency,
        public_url=configured.public_url(settings),
    )
    asgi = _web(services, roles)
    return Safelight(
        settings, roles, services, asgi, worker, janitor, notifier, messenger, ground.pool
    )


def _web(services: Services, roles: frozenset[Role]) -> ASGIApp:
    build = server.build if Role.API in roles else server.build_probes
    app = build(services, version=version("safelight"))
    return server.wrap(app, services)


def _built_in(settings: Settings, pool: CpuPool, fetcher: Fetcher) -> list[Provider]:
    installed: list[Provider] = [
        SketchProvider(pool),
        InflateProvider(pool, saliency=settings.inflate_saliency_model),
        LinkProvider(fetcher),
    ]
    if settings.fake_provider:
        ledger = settings.data_dir / "fake-ledger.jsonl"
        installed += [FakeProvider(ledger), FakeQueue(ledger)]
    return installed


def _registry(ground: _Ground) -> Registry:
    catalogue = ground.catalogue
    return Registry(
        ground.providers,
        {name: alias.models for name, alias in catalogue.aliases.items()},
        defaults=catalogue.defaults,
        models=changed(all_models(ground.providers), catalogue.models),
    )


async def _check_schema(database: Database) -> None:
    if not await is_current(database):
        raise ServiceError("The database's schema is not the one that this version needs.")
