"""The services behind the routes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from safelight.accounts.service import Accounts
from safelight.accounts.signatures import Signatures
from safelight.assets.derived.conversions import Conversions
from safelight.assets.derived.variants import Variants
from safelight.assets.intake import Intake
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.lifecycle.visibility import Showing
from safelight.assets.service import Assets
from safelight.assets.urls import Links
from safelight.assets.usage import StorageUsage
from safelight.audit import Audit
from safelight.doorbell.doorbell import Doorbell
from safelight.jobs.batches import Batches
from safelight.jobs.callbacks import CallbackAddresses, Callbacks
from safelight.jobs.operations import Operations
from safelight.jobs.service import Jobs
from safelight.jobs.submit import Submits
from safelight.notifications.content import Templates
from safelight.notifications.service import Contacts
from safelight.providers.registry import Registry
from safelight.storage.storage import Storage
from safelight.web.rates import Rates
from safelight.webhooks.service import Webhooks


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may bring or ask for."""

    body_bytes: int
    file_bytes: int
    upload_bytes: int
    batch_files: int
    batch_urls: int
    wait_s: int


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of Safelight that routes call, put together by `app.py`."""

    accounts: Accounts
    jobs: Jobs
    batches: Batches
    callbacks: Callbacks
    callback_addresses: CallbackAddresses
    submits: Submits
    operations: Operations
    webhooks: Webhooks
    contacts: Contacts
    templates: Templates
    assets: Assets
    showing: Showing
    trash: Trash
    storage_usage: StorageUsage
    audit: Audit
    intake: Intake
    variants: Variants
    conversions: Conversions
    signatures: Signatures
    links: Links
    storage: Storage
    direct: Callable[[str], Awaitable[str | None]]  # where else a private file can be had
    registry: Registry
    bell: Doorbell
    limits: Limits
    file_rates: Rates
    file_origins: tuple[str, ...]  # other than this server, that pages may show files from
    check_url: Callable[[str], None]  # raises UrlNotAllowed before anything is queued
    check_space: Callable[[], Awaitable[None]]  # raises StorageFull
    checks: dict[str, Callable[[], Awaitable[None]]]  # what readiness depends on, by name
    soft_checks: dict[str, Callable[[], Awaitable[None]]]  # without these it is only degraded
    scratch: Path
    currency: str  # of every price and cost, as ISO 4217 spells it
    public_url: str  # what absolute addresses begin with, without a slash at its end
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
