"""Puts the parts of a process together: read this to see which part is made of which."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, partial
from importlib.metadata import version

from starlette.types import ASGIApp

from safelight import configured
from safelight.accounts.authentication import Authenticator
from safelight.accounts.closed import ClosedAccounts
from safelight.accounts.keys import Keys
from safelight.accounts.lifecycle import Lifecycle
from safelight.accounts.service import Accounts
from safelight.accounts.sessions import Sessions
from safelight.accounts.signatures import Signatures
from safelight.assets import store as asset_store
from safelight.assets.derived.conversions import Conversions
from safelight.assets.derived.variants import Variants
from safelight.assets.intake import Intake
from safelight.assets.lifecycle.rekey import Rekeyer
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.lifecycle.visibility import VisibilitySwitch
from safelight.assets.service import Assets
from safelight.assets.usage import StorageUsage
from safelight.audit import Audit
from safelight.cpu import CpuPool
from safelight.cpu.cage import cage
from safelight.datadir import DiskGuard
from safelight.db import sealed
from safelight.db.engine import Database
from safelight.db.migrate import check_current
from safelight.doorbell.doorbell import CREDENTIALS
from safelight.fetch import check_url
from safelight.foundation import Foundation, ProcessRole, Shared
from safelight.identity.logins import Logins
from safelight.identity.members import Members
from safelight.identity.passwords import Passwords
from safelight.identity.people import People
from safelight.identity.post import Post
from safelight.identity.provider_logins import ProviderLogins
from safelight.identity.second_step import SecondStep
from safelight.jobs.batches import Batches
from safelight.jobs.callbacks import CallbackAddresses, Callbacks
from safelight.jobs.operations import Operations
from safelight.jobs.retry import RetryPolicy
from safelight.jobs.service import Jobs
from safelight.jobs.submit import Submitter
from safelight.media.pictures.inspect import codec_holes
from safelight.notifications.contact import Channel
from safelight.notifications.content import Templates
from safelight.notifications.mail import Mailer
from safelight.notifications.senders import check as check_sender
from safelight.notifications.senders import open_senders
from safelight.notifications.service import Contacts
from safelight.providers.catalogue import changed, naming
from safelight.providers.registry import Registry, all_models
from safelight.settings import Settings
from safelight.storage.forgetting import ForgettingStorage
from safelight.web.files.hot_files import HotFiles
from safelight.web.rates import Rates
from safelight.web.recent import Recent
from safelight.web.services import Access, Entry, Files, Health, Identity, Services
from safelight.web.watch import Watch
from safelight.webhooks.service import Webhooks
from safelight.worker.attempt.run import Runner
from safelight.worker.attempt.settlement import Settlement
from safelight.worker.attempt.writes import Writes
from safelight.worker.senders.notices import Messenger
from safelight.worker.senders.webhooks import Notifier
from safelight.worker.upkeep.janitor import Janitor
from safelight.worker.upkeep.key_use import KeyUse
from safelight.worker.upkeep.metrics import Signals
from safelight.worker.upkeep.presence import Presence
from safelight.worker.upkeep.retention import Retention
from safelight.worker.worker import Worker, WorkerRules

_SENDERS = {Channel.EMAIL: "mail", Channel.SMS: "sms", Channel.SNS: "topics"}  # names of checks


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that a process runs or serves."""

    services: Services
    asgi: Callable[[], ASGIApp]  # built at the first call: most roles serve nothing
    worker: Worker
    janitor: Janitor
    notifier: Notifier
    messenger: Messenger
    presence: Presence
    key_use: KeyUse
    post: Post


def compose(settings: Settings, roles: frozenset[ProcessRole], on: Foundation) -> Parts:
    """Return the parts of a process with these roles."""
    hot = HotFiles()
    on = replace(on, storage=ForgettingStorage(on.storage, hot.forget))
    shared = _share(settings, on)
    services = _services(settings, roles, on, shared, hot)
    worker = _worker(settings, on, shared)
    return Parts(
        services,
        cache(partial(_web, services, roles)),
        worker,
        _janitor(settings, on, shared),
        Notifier(on.database, on.poster, on.links),
        Messenger(
            on.database,
            shared.senders,
            shared.templates,
            on.links,
            digest_hour=settings.digest_hour,
        ),
        Presence(
            on.database,
            roles,
            shared.slots if ProcessRole.WORKER in roles else {},
            version("safelight"),
            lambda: worker.running,
            settings.lease,
        ),
        KeyUse(services.access.authenticator, on.bell),
        services.identity.post,
    )


def _share(settings: Settings, on: Foundation) -> Shared:
    assets = Assets(on.database, on.storage, configured.cdn(settings))
    copying = Rekeyer(on.database, on.storage, on.scratch)
    kept = timedelta(days=settings.deleted_kept_days)
    signatures = Signatures(on.database)
    return Shared(
        registry=_registry(settings, on),
        assets=assets,
        copying=copying,
        trash=Trash(on.database, assets, copying, kept=kept),
        intake=_intake(settings, on, on.pool),
        signatures=signatures,
        addresses=CallbackAddresses(settings.public_url.rstrip("/"), signatures),
        senders=open_senders(
            mail_url=settings.mail_url.get_secret_value(),
            mail_from=settings.mail_from,
            sms_region=settings.sms_region,
            topics=configured.topics(settings),
            base_url=on.links.base_url,
        ),
        templates=Templates(settings.mail_templates),
        slots=configured.slots(settings, on.pool, on.catalogue),
    )


def _intake(settings: Settings, on: Foundation, pool: CpuPool) -> Intake:
    return Intake(
        on.database,
        on.storage,
        pool,
        configured.inspect_rules(settings),
        keep_originals=settings.keep_originals,
    )


def _registry(settings: Settings, on: Foundation) -> Registry:
    catalogue = on.catalogue
    with naming(configured.catalogue_file(settings)):
        return Registry(
            on.providers,
            {name: alias.models for name, alias in catalogue.aliases.items()},
            defaults=catalogue.defaults,
            models=changed(all_models(on.providers), catalogue.models),
        )


def _worker(settings: Settings, on: Foundation, shared: Shared) -> Worker:
    settlement = Settlement(
        on.database,
        shared.assets,
        RetryPolicy(
            timedelta(seconds=settings.retry_base_s), timedelta(seconds=settings.retry_cap_s)
        ),
        Writes(on.database),
        patience=timedelta(hours=settings.unknown_after_hours),
        grace=timedelta() if on.is_sole else settings.lease,
    )
    runner = Runner(
        on.database,
        on.bell,
        shared.registry,
        shared.assets,
        shared.intake,
        on.fetcher,
        settlement,
        shared.addresses,
        on.scratch,
        settings.data_dir / "results",
        keep_s=settings.outputs_kept_days * 86_400 or None,
    )
    rules = WorkerRules(
        shared.slots,
        settings.lease,
        timedelta(seconds=settings.janitor_interval_s),
        timedelta(seconds=settings.grace_s),
        configured.job_limits(settings, on.catalogue),
    )
    return Worker(on.database, on.bell, runner, rules)


def _janitor(settings: Settings, on: Foundation, shared: Shared) -> Janitor:
    return Janitor(
        on.database,
        on.bell,
        shared.registry,
        Signals(on.database, sys.stdout if settings.metrics_emf else None),
        Retention(
            on.database,
            events_kept=configured.days(settings.events_kept_days),
            jobs_kept=configured.days(settings.jobs_kept_days),
        ),
        assets=shared.assets,
        trash=shared.trash,
        interval=timedelta(seconds=settings.janitor_interval_s),
        lease=settings.lease,
        sole_worker=on.is_sole,
    )


def _services(
    settings: Settings,
    roles: frozenset[ProcessRole],
    on: Foundation,
    shared: Shared,
    hot: HotFiles,
) -> Services:
    database = on.database
    space = DiskGuard(settings.data_dir, settings.min_free_bytes).check
    # A pool apart: nobody waits behind jobs for a rendition or an upload.
    apart = CpuPool(max(on.pool.size // 2, 2), beside=on.pool)
    operations = Operations(database)
    authenticator = Authenticator(database, partial(on.bell.ring, CREDENTIALS))
    closed = ClosedAccounts(database)
    jobs = Jobs(database, shared.assets, shared.trash, slots=shared.slots)
    stopping = asyncio.Event()
    return Services(
        access=Access(
            authenticator,
            closed,
            Lifecycle(database, authenticator, asset_store.check_account_free),
            Keys(database, authenticator),
            Sessions(database, authenticator),
            Rates(),
            on.tokens.authenticate if on.tokens else None,
        ),
        identity=_identity(settings, on, shared, authenticator),
        accounts=Accounts(database),
        jobs=jobs,
        batches=Batches(database),
        callbacks=Callbacks(database, shared.registry, shared.signatures),
        callback_addresses=shared.addresses,
        operations=operations,
        webhooks=Webhooks(database),
        contacts=Contacts(database, shared.senders.keys(), configured.topics(settings)),
        templates=shared.templates,
        submits=Submitter(database, shared.registry, max_attempts=settings.max_attempts),
        assets=shared.assets,
        visibility=VisibilitySwitch(database, shared.assets, shared.copying),
        trash=shared.trash,
        audit=Audit(database),
        storage_usage=StorageUsage(database),
        entry=Entry(
            _intake(settings, on, apart),
            configured.limits(settings),
            on.scratch,
            check_url=partial(check_url, policy=configured.fetch_policy(settings)),
            check_space=space,
        ),
        files=Files(
            on.storage,
            shared.signatures,
            Variants(
                database,
                on.storage,
                apart,
                shared.signatures,
                on.scratch,
                check_space=space,
                check_open=closed.check_open,
            ),
            Conversions(database, on.storage, apart, on.scratch, check_space=space),
            Rates(),
            settings.file_requests_per_s,
            on.file_origins,
            on.direct,
            hot,
        ),
        health=Health(
            {
                "database": partial(check_current, database),
                "storage": on.storage.check,
                "disk": space,
            },
            {
                "doorbell": on.bell.check,
                "providers": operations.check_providers,
                "workers": operations.check_workers,
                **{
                    _SENDERS[channel]: Recent(partial(check_sender, sender))
                    for channel, sender in shared.senders.items()
                },
            },
            partial(_sealing, database),
            cage.missing,
            partial(apart.run, codec_holes),
            frozenset(shared.slots) if ProcessRole.WORKER in roles else frozenset(),
            open_probes=configured.open_probes(settings),
        ),
        registry=shared.registry,
        bell=on.bell,
        hosts=configured.hosts(settings),
        links=on.links,
        public_url=configured.public_url(settings),
        currency=on.catalogue.currency,
        watch=Watch(jobs.marks, authenticator.still_valid, on.bell, stopping),
        stopping=stopping,
    )


def _identity(
    settings: Settings, on: Foundation, shared: Shared, authenticator: Authenticator
) -> Identity:
    mailer = shared.senders.get(Channel.EMAIL)
    post = Post(mailer if isinstance(mailer, Mailer) else None, shared.templates, on.links.base_url)
    passwords = Passwords(settings.breached_passwords)
    people = People(on.database, passwords, authenticator, post)
    second_step = SecondStep(on.database, people, post)
    sessions = Sessions(on.database, authenticator)
    logins = Logins(
        on.database,
        passwords,
        second_step,
        sessions,
        authenticator,
        allowed=settings.login == "people",
    )
    return Identity(
        people,
        logins,
        second_step,
        Members(on.database, passwords, authenticator, post),
        post,
        ProviderLogins(on.database, on.oidc, logins) if on.oidc else None,
    )


def _web(services: Services, roles: frozenset[ProcessRole]) -> ASGIApp:
    from safelight.web import server  # noqa: PLC0415  the framework, and every route

    build = server.build if ProcessRole.API in roles else server.build_probes
    app = build(services, version=version("safelight"))
    return server.wrap(app, services)


async def _sealing(database: Database) -> str:
    """Return how secrets in rows are not kept as they should be; empty if all are encrypted."""
    found = await database.look(sealed.count_old)
    if found is None:
        return "secrets are stored as they are: set SAFELIGHT_ENCRYPTION_KEY"
    if found:
        return f"{found} secrets are not under the first key: run `safelight secrets rotate`"
    return ""
