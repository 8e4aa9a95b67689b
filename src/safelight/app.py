"""Puts Safelight together: read this first to see which part is made of which."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import anyio.to_thread
from starlette.types import ASGIApp

from safelight.accounts.service import Accounts
from safelight.accounts.signatures import Signatures
from safelight.assets.conversions import Conversions
from safelight.assets.copying import Copying
from safelight.assets.inspect import InspectRules
from safelight.assets.intake import Intake
from safelight.assets.keys import MEDIA_TYPES, cache_control_of, ending_of, is_public
from safelight.assets.links import Links
from safelight.assets.remaking import Remaking
from safelight.assets.service import Assets
from safelight.assets.showing import Showing
from safelight.assets.trash import Trash
from safelight.assets.usage import StorageUsage
from safelight.assets.variants import Variants
from safelight.audit import Audit
from safelight.cpu import CpuPool
from safelight.datadir import claim_data_dir, scratch_folder
from safelight.db.engine import Database, open_database
from safelight.db.migrate import is_current, migrate
from safelight.delivery.service import Webhooks
from safelight.doorbell.doorbell import Doorbell
from safelight.doorbell.open import open_doorbell
from safelight.errors import ServiceError, SettingInvalid, StorageFull
from safelight.fetch import Fetcher, FetchPolicy, Poster, Proxy, check_url
from safelight.jobs import claims
from safelight.jobs.batches import Batches
from safelight.jobs.callbacks import CallbackAddresses, Callbacks
from safelight.jobs.limits import Limits as JobLimits
from safelight.jobs.limits import ProviderLimit
from safelight.jobs.operations import Operations
from safelight.jobs.retry import RetryPolicy
from safelight.jobs.service import Jobs
from safelight.jobs.submit import Submits
from safelight.notify.content import Templates
from safelight.notify.senders import open_senders
from safelight.notify.service import Contacts
from safelight.providers.catalogue import Catalogue, changed, read_catalogue
from safelight.providers.fake import FakeProvider
from safelight.providers.fal import FalConfig
from safelight.providers.inflate import InflateProvider
from safelight.providers.link import LinkProvider
from safelight.providers.openai import OpenAiConfig
from safelight.providers.provider import Lane, Provider
from safelight.providers.registry import Registry, all_models
from safelight.providers.replicate import ReplicateConfig
from safelight.providers.sketch import SketchProvider
from safelight.providers.vendors import SageMakerPlaces, Vendors, open_vendors
from safelight.settings import Settings
from safelight.storage.cdn import Cdn, NoCdn
from safelight.storage.open import open_storage
from safelight.storage.place import Place, parse_place
from safelight.storage.signer import CloudFrontSigner
from safelight.storage.storage import Served, Storage
from safelight.web import server
from safelight.web.rates import Rates
from safelight.web.services import Limits, Services
from safelight.worker.janitor import Janitor
from safelight.worker.messenger import Messenger
from safelight.worker.notifier import Notifier
from safelight.worker.retention import Retention
from safelight.worker.run import Runner
from safelight.worker.settlement import Settlement
from safelight.worker.signals import Signals
from safelight.worker.worker import Worker, WorkerRules
from safelight.worker.writes import Writes

_DIRECT = timedelta(minutes=10)  # that whoever is sent on has to begin
_USED_IN_CHILDREN = (
    "resvg_py",
    "safelight.assets.model3d.look",
    "scipy.ndimage",
    "scipy.sparse.linalg",
)

Direct = Callable[[str], Awaitable[str | None]]


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
    url = _database_url(settings)
    sole = url.startswith("sqlite:")
    async with AsyncExitStack() as stack:
        stack.enter_context(claim_data_dir(data, alone=sole))
        scratch = stack.enter_context(scratch_folder(data / "scratch"))
        storage = _storage(settings)
        database = open_database(url)
        stack.push_async_callback(database.close)
        pool = CpuPool(settings.local_slots or os.cpu_count() or 1)
        stack.callback(pool.close)
        fetcher = await stack.enter_async_context(Fetcher(_fetch_policy(settings)))
        poster = await stack.enter_async_context(Poster(_fetch_policy(settings)))
        await migrate(database)
        # The lock on the data directory says that whoever held these leases is dead.
        if sole:
            await database.write(claims.end_all_leases)
        links = _links(settings, await Signatures(database).files_key())
        direct = _direct(settings, storage)
        bell = await stack.enter_async_context(open_doorbell(_doorbell_url(settings)))
        catalogue = _catalogue(settings)
        vendors = await open_vendors(_vendors(settings), catalogue, fetcher, stack)
        providers = [*_built_in(settings, pool, fetcher), *vendors]
        yield _compose(
            settings,
            roles,
            _Ground(
                database,
                storage,
                links,
                direct,
                await _file_origins(settings, direct),
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
        storage = _storage(settings)
        database = open_database(_database_url(settings))
        stack.push_async_callback(database.close)
        pool = CpuPool(1)
        stack.callback(pool.close)
        await migrate(database)
        assets = Assets(database, storage, _cdn(settings))
        remaking = Remaking(storage, pool, _inspect_rules(settings), scratch=scratch)
        yield Kept(database, storage, assets, remaking, scratch)


def storage_place(settings: Settings) -> Place:
    """Return where files are kept; raise `SettingInvalid` where that cannot be understood."""
    folder = settings.data_dir / "objects"
    return _place("storage", settings.storage) or Place("file", folder=str(folder))


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
    assets = Assets(database, storage, _cdn(settings))
    copying = Copying(database, storage, ground.scratch)
    deleted_kept = timedelta(days=settings.deleted_kept_days)
    trash = Trash(database, assets, copying, kept=deleted_kept)
    intake = Intake(
        database,
        storage,
        ground.pool,
        _inspect_rules(settings),
        keep_originals=settings.keep_originals,
    )
    slots = _slots(settings, ground)
    look_every = timedelta(seconds=settings.janitor_interval_s)
    policy = RetryPolicy(
        timedelta(seconds=settings.retry_base_s), timedelta(seconds=settings.retry_cap_s)
    )
    settlement = Settlement(database, assets, policy, Writes(database))
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
            keep_s=settings.outputs_kept_days * 86_400 or None,
        ),
        WorkerRules(
            slots,
            settings.lease,
            look_every,
            timedelta(seconds=settings.grace_s),
            _job_limits(settings, ground.catalogue),
        ),
    )
    janitor = Janitor(
        database,
        bell,
        registry,
        Signals(database, sys.stdout if settings.metrics_emf else None),
        Retention(
            database,
            events_kept=_days(settings.events_kept_days),
            jobs_kept=_days(settings.jobs_kept_days),
        ),
        assets=assets,
        trash=trash,
        interval=look_every,
        lease=settings.lease,
        sole_worker=ground.is_sole,
    )
    notifier = Notifier(database, ground.poster, links)
    topics = [name.strip() for name in settings.sns_topics.split(",") if name.strip()]
    senders = open_senders(
        mail_url=settings.mail_url.get_secret_value(),
        mail_from=settings.mail_from,
        sms_region=settings.sms_region,
        topics=topics,
        base_url=links.base_url,
    )
    templates = Templates(settings.mail_templates)
    messenger = Messenger(database, senders, templates, links, digest_hour=settings.digest_hour)
    space = _DiskGuard(settings.data_dir, settings.min_free_bytes).check
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
        limits=_limits(settings),
        file_rates=Rates(settings.file_requests_per_s),
        file_origins=ground.file_origins,
        check_url=partial(check_url, policy=_fetch_policy(settings)),
        check_space=space,
        checks={
            "database": partial(_check_schema, database),
            "storage": storage.check,
            "disk": space,
        },
        soft_checks={"doorbell": bell.check, "providers": operations.check_providers},
        scratch=ground.scratch,
        currency=ground.catalogue.currency,
        public_url=_public_url(settings),
    )
    asgi = _web(services, roles)
    return Safelight(
        settings, roles, services, asgi, worker, janitor, notifier, messenger, ground.pool
    )


def _slots(settings: Settings, ground: _Ground) -> dict[str, int]:
    gpus = ground.catalogue.diffusers
    every = {
        Lane.LOCAL.value: ground.pool.size,
        Lane.GPU.value: settings.gpu_slots or (len(gpus.devices) if gpus else 1),
        Lane.INGEST.value: settings.ingest_slots,
        Lane.REMOTE.value: settings.remote_slots,
    }
    served = settings.lanes.split(",") if settings.lanes else every
    return {name: every[name] for name in served}


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
        installed.append(FakeProvider(settings.data_dir / "fake-ledger.jsonl"))
    return installed


def _vendors(settings: Settings) -> Vendors:
    """Name those whose key or place is given."""
    openai = settings.openai_api_key.get_secret_value()
    fal = settings.fal_key.get_secret_value()
    replicate = settings.replicate_api_token.get_secret_value()
    secret = settings.replicate_webhook_secret.get_secret_value()
    region = settings.sagemaker_region
    adopts_within = timedelta(seconds=settings.adopts_within_s)
    return Vendors(
        OpenAiConfig(
            openai,
            settings.openai_base_url,
            organization=settings.openai_organization,
            project=settings.openai_project,
            stream=settings.openai_stream,
        )
        if openai
        else None,
        FalConfig(
            fal,
            settings.fal_queue_url,
            settings.fal_keys_url,
            adopts_within=adopts_within if settings.public_url else timedelta(),
        )
        if fal
        else None,
        ReplicateConfig(
            replicate,
            settings.replicate_base_url,
            webhook_secret=secret,
            # It reports to nobody without TLS.
            adopts_within=adopts_within
            if settings.public_url.startswith("https://")
            else timedelta(),
        )
        if replicate
        else None,
        SageMakerPlaces(
            region,
            _names(settings.sagemaker_endpoints),
            settings.sagemaker_inputs,
            settings.sagemaker_outputs,
            settings.sagemaker_failures,
            _names(settings.sagemaker_topics),
            settings.sagemaker_url,
        )
        if region
        else None,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def _catalogue(settings: Settings) -> Catalogue:
    usual = settings.data_dir / "catalogue.toml"
    path = settings.catalogue or (usual if usual.exists() else None)
    return read_catalogue(path, settings.environment) if path else Catalogue()


def _registry(ground: _Ground) -> Registry:
    catalogue = ground.catalogue
    return Registry(
        ground.providers,
        {name: alias.models for name, alias in catalogue.aliases.items()},
        defaults=catalogue.defaults,
        models=changed(all_models(ground.providers), catalogue.models),
    )


def _storage(settings: Settings) -> Storage:
    place, public = storage_place(settings), _place("storage_public", settings.storage_public)
    return open_storage(place, public, describe=_served, is_public=is_public)


def _served(key: str) -> Served:
    media_type = MEDIA_TYPES.get(ending_of(key), "application/octet-stream")
    return Served(media_type, cache_control_of(key))


def _place(name: str, text: str) -> Place | None:
    try:
        return parse_place(text) if text else None
    except ValueError as error:
        raise SettingInvalid(f"SAFELIGHT_{name.upper()}: {error}") from None


def _links(settings: Settings, secret: str) -> Links:
    lifetime = timedelta(seconds=settings.signed_s)
    return Links(_public_url(settings), _files_url(settings), secret, lifetime)


async def _nowhere(_key: str) -> str | None:
    return None


def _direct(settings: Settings, storage: Storage) -> Direct:
    """Return what sends who may have a private file to where it is, instead of bringing it."""
    if settings.private_files == "bucket":
        return partial(storage.address, lifetime=_DIRECT)
    if settings.private_files == "cloudfront" and settings.cloudfront_key:
        base = _files_url(settings)
        try:
            signer = CloudFrontSigner(base, settings.cloudfront_key_id, settings.cloudfront_key)
        except ValueError as error:
            raise SettingInvalid(f"SAFELIGHT_CLOUDFRONT_KEY: {error}") from None
        return partial(signer.address, lifetime=_DIRECT)
    return _nowhere


async def _file_origins(settings: Settings, direct: Direct) -> tuple[str, ...]:
    """Return from where else than this server pages may show files."""
    addresses = [settings.files_url, await direct("any") or ""]
    parts = [urlsplit(address) for address in addresses if address]
    return tuple(dict.fromkeys(f"{each.scheme}://{each.netloc}" for each in parts))


def _cdn(settings: Settings) -> Cdn:
    if not settings.cloudfront_distribution:
        return NoCdn()
    try:
        from safelight.storage.cloudfront import CloudFrontCdn  # noqa: PLC0415  an extra
    except ModuleNotFoundError:
        needs = "SAFELIGHT_CLOUDFRONT_DISTRIBUTION needs another package"
        raise SettingInvalid(f"{needs}: pip install 'safelight[cloudfront]'.") from None
    return CloudFrontCdn(settings.cloudfront_distribution, _files_url(settings))


def _files_url(settings: Settings) -> str:
    return settings.files_url.rstrip("/") or f"{_public_url(settings)}/files"


def _fetch_policy(settings: Settings) -> FetchPolicy:
    proxy = settings.fetch_proxy.get_secret_value()
    return FetchPolicy(
        own_files=f"{_public_url(settings)}/files/",
        allow_private=settings.fetch_allow_private,
        allow_networks=tuple(map(ip_network, _listed(settings.fetch_allow_networks))),
        allow_hosts=frozenset(_listed(settings.fetch_allow_hosts)),
        deny_hosts=frozenset(_listed(settings.fetch_deny_hosts)),
        proxy=Proxy.parse(proxy) if proxy else None,
        ports=frozenset(int(port) for port in settings.fetch_ports.split(",")),
        max_bytes=settings.fetch_max_bytes,
        total_s=settings.fetch_total_s,
    )


def _listed(text: str) -> list[str]:
    return text.split(",") if text else []


def _inspect_rules(settings: Settings) -> InspectRules:
    return InspectRules(max_pixels=settings.max_pixels)


def _days(days: float) -> timedelta | None:
    return timedelta(days=days) if days else None


def _database_url(settings: Settings) -> str:
    return settings.database_url or f"sqlite:///{settings.data_dir / 'safelight.db'}"


def _doorbell_url(settings: Settings) -> str:
    is_shared = settings.database_url and not settings.database_url.startswith("sqlite:")
    return settings.doorbell_url or (settings.database_url if is_shared else "")


def _job_limits(settings: Settings, catalogue: Catalogue) -> JobLimits:
    providers = {
        name: ProviderLimit(limits.in_flight, limits.starts_per_minute)
        for name, limits in catalogue.limits.items()
    }
    return JobLimits(settings.account_limit or None, providers)


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
