"""The services behind the routes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from safelight.accounts.account import Caller
from safelight.accounts.authentication import Authenticator
from safelight.accounts.closed import ClosedAccounts
from safelight.accounts.keys import Keys
from safelight.accounts.lifecycle import Lifecycle
from safelight.accounts.service import Accounts
from safelight.accounts.sessions import Sessions
from safelight.accounts.signatures import Signatures
from safelight.assets.derived.conversions import Conversions
from safelight.assets.derived.variants import Variants
from safelight.assets.intake import Intake
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.lifecycle.visibility import VisibilitySwitch
from safelight.assets.service import Assets
from safelight.assets.urls import Links
from safelight.assets.usage import StorageUsage
from safelight.audit import Audit
from safelight.doorbell.doorbell import Doorbell
from safelight.identity.logins import Logins
from safelight.identity.members import Members
from safelight.identity.people import People
from safelight.identity.post import Post
from safelight.identity.provider_logins import ProviderLogins
from safelight.identity.second_step import SecondStep
from safelight.jobs.batches import Batches
from safelight.jobs.callbacks import CallbackAddresses, Callbacks
from safelight.jobs.operations import Operations
from safelight.jobs.service import Jobs
from safelight.jobs.submit import Submitter
from safelight.notifications.content import Templates
from safelight.notifications.service import Contacts
from safelight.providers.registry import Registry
from safelight.storage.storage import Storage
from safelight.web.files.hot_files import HotFiles
from safelight.web.hosts import Hosts
from safelight.web.rates import Rates
from safelight.web.watch import Watch
from safelight.webhooks.service import Webhooks


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of one request."""

    body_bytes: int
    file_bytes: int
    upload_bytes: int
    batch_files: int
    batch_urls: int
    wait_s: int


@dataclass(frozen=True, slots=True)
class Access:
    """The services that let callers in."""

    authenticator: Authenticator
    closed: ClosedAccounts
    lifecycle: Lifecycle  # of accounts
    keys: Keys
    sessions: Sessions
    rates: Rates  # by key
    tokens: Callable[[str], Awaitable[Caller]] | None  # of issuers; None: there are none


@dataclass(frozen=True, slots=True)
class Identity:
    """The services for people: users, logins, members."""

    people: People
    logins: Logins
    second_step: SecondStep
    members: Members
    post: Post
    providers: ProviderLogins | None  # None: there are no providers


@dataclass(frozen=True, slots=True)
class Entry:
    """The services through which files and URLs come in, and their limits."""

    intake: Intake
    limits: RequestLimits
    scratch: Path
    check_url: Callable[[str], None]  # raises UrlNotAllowed before anything is queued
    check_space: Callable[[], Awaitable[None]]  # raises StorageFull


@dataclass(frozen=True, slots=True)
class Files:
    """The services that serve stored and derived files."""

    storage: Storage
    signatures: Signatures
    variants: Variants
    conversions: Conversions
    rates: Rates  # by file
    most_per_s: float  # requests for one file; 0: unlimited
    origins: tuple[str, ...]  # other origins from which pages may load files
    direct: Callable[[str], Awaitable[str | None]]  # where to redirect for a private file, if so
    hot: HotFiles


@dataclass(frozen=True, slots=True)
class Health:
    """The readiness of this process; a failed soft check degrades it only."""

    checks: dict[str, Callable[[], Awaitable[object]]]
    soft_checks: dict[str, Callable[[], Awaitable[object]]]
    sealing: Callable[[], Awaitable[str]]  # how secrets are kept; empty: all are encrypted
    cage_gaps: Callable[[], list[str]]  # parts of the decoders' cage that the kernel lacks
    codec_holes: Callable[[], Awaitable[list[str]]]  # decoders with a known hole
    lanes_here: frozenset[str]  # that a worker in this process serves
    open_probes: bool  # metrics, and details of readiness, are for everyone


@dataclass(frozen=True, slots=True)
class Services:
    """The services that routes call, built by `composed.py`."""

    access: Access
    identity: Identity
    accounts: Accounts
    jobs: Jobs
    batches: Batches
    callbacks: Callbacks
    callback_addresses: CallbackAddresses
    submits: Submitter
    operations: Operations
    webhooks: Webhooks
    contacts: Contacts
    templates: Templates
    assets: Assets
    visibility: VisibilitySwitch
    trash: Trash
    storage_usage: StorageUsage
    audit: Audit
    entry: Entry
    files: Files
    health: Health
    registry: Registry
    bell: Doorbell
    hosts: Hosts
    links: Links
    public_url: str  # base of absolute URLs, without a trailing slash
    currency: str  # ISO 4217 code of all prices and costs
    watch: Watch  # of the jobs and batches that streams follow
    stopping: asyncio.Event

    def at(self, base: str) -> Self:
        """Return the same services with `base` in their URLs."""
        return replace(self, public_url=base, links=self.links.at(base))
