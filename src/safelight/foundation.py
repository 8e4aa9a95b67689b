"""The resources and the objects that the parts of a process share, and the roles of processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from safelight.accounts.signatures import Signatures
from safelight.assets.intake import Intake
from safelight.assets.lifecycle.rekey import Rekeyer
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.service import Assets
from safelight.assets.urls import Links
from safelight.configured import Direct
from safelight.cpu import CpuPool
from safelight.db.engine import Database
from safelight.doorbell.doorbell import Doorbell
from safelight.fetch import Fetcher, Poster
from safelight.identity.issuers.oidc import Oidc
from safelight.identity.issuers.tokens import Tokens
from safelight.jobs.callbacks import CallbackAddresses
from safelight.notifications.contact import Channel
from safelight.notifications.content import Templates
from safelight.notifications.senders import Sender
from safelight.providers.catalogue import Catalogue
from safelight.providers.provider import Provider
from safelight.providers.registry import Registry
from safelight.storage.storage import Storage


class ProcessRole(StrEnum):
    """A kind of process in a large installation; a small one runs all of them in one process."""

    API = "api"
    WORKER = "worker"
    JANITOR = "janitor"
    NOTIFIER = "notifier"


ALL_ROLES = frozenset(ProcessRole)


@dataclass(frozen=True, slots=True)
class Foundation:
    """The open resources that all parts are built on."""

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
    tokens: Tokens | None  # of issuers
    oidc: Oidc | None  # logins at providers
    scratch: Path
    is_sole: bool  # no other process uses the database


@dataclass(frozen=True, slots=True)
class Shared:
    """Objects that several parts use."""

    registry: Registry
    assets: Assets
    copying: Rekeyer
    trash: Trash
    intake: Intake
    signatures: Signatures
    addresses: CallbackAddresses
    senders: Mapping[Channel, Sender]
    templates: Templates
    slots: dict[str, int]
