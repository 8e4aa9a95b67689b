"""Who may ask: accounts, their API keys and what a key may do. Pure."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from safelight import ids

KEY_PREFIX = "sk_"
_HINT_LENGTH = 8
MAX_KEY_LENGTH = 200


class Scope(StrEnum):
    """What an API key may do; a key has a set of these."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
    LOGIN = "login"  # exchanged for a browser session, good for nothing else


OWNER_SCOPES = (Scope.READ, Scope.WRITE, Scope.ADMIN)


class Visibility(StrEnum):
    """Who gets what is kept: anybody who has its address, or for a while by a signed one."""

    PUBLIC = "public"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose jobs and files they are."""

    id: str
    name: str
    created_at: datetime
    max_in_flight: int | None = None  # jobs at once; None is what the settings say
    visibility: Visibility = Visibility.PUBLIC  # of what its jobs make where they do not say
    keep_image_s: float | None = None  # how long that stays; None is as the settings say
    keep_model_3d_s: float | None = None
    hold: str = ""  # why nothing of it may go


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: the account, by which key, with which scopes."""

    account_id: str
    key_id: str
    scopes: frozenset[Scope]


def new_secret() -> str:
    """Return a new API key: 160 random bits, shown once and stored only as a hash."""
    return KEY_PREFIX + ids.secret(160)


def hash_secret(secret: str) -> bytes:
    """Return what is stored of a key: a SHA-256, as the secret is random and no password."""
    return hashlib.sha256(secret.encode()).digest()


def hint(secret: str) -> str:
    """Return the first characters, by which a person recognises a key."""
    return secret[:_HINT_LENGTH] + "…"


def same(one: str, other: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
