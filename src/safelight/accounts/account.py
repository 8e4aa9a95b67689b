"""Accounts, and the secrets that authenticate their callers. Pure."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from safelight import ids
from safelight.accounts.scopes import Scopes

_HINT_LENGTH = 8
MAX_KEY_LENGTH = 200


class Credential(StrEnum):
    """A kind of secret; the value is its prefix, which the stored hash covers."""

    KEY = "sk_"  # an API key, in the Authorization header
    SESSION = "ses_"  # a browser session, in the cookie
    LOGIN = "lnk_"  # a login link, exchanged once for a session


class Visibility(StrEnum):
    """Visibility of an asset: public by URL, or private by a signed URL that expires."""

    PUBLIC = "public"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Account:
    """The owner of jobs and assets."""

    id: str
    name: str
    created_at: datetime
    max_in_flight: int | None = None  # concurrent jobs; None: as in the settings
    visibility: Visibility = Visibility.PUBLIC  # default for its jobs' outputs
    keep_image_s: float | None = None  # how long images are kept; None: as in the settings
    keep_model_3d_s: float | None = None
    hold: str = ""  # the reason of a legal hold on everything it has
    suspended_at: datetime | None = None  # no credential of it is accepted since
    suspended_for: str = ""  # the reason, as its callers read it
    deleted_at: datetime | None = None  # its rows and files are being removed since


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated caller of a request: account, credential and scopes.

    `key_id` names the credential in the audit log: an API key or session, or `ISSUER:SUBJECT` for a
    token.
    """

    account_id: str
    key_id: str
    scopes: Scopes
    rate_per_s: float | None = None  # requests per second; None: unlimited
    root_id: str | None = None  # the API key with which the sessions that it opens end
    expires_at: datetime | None = None  # of a token of an issuer; None: is looked up as a key
    user_id: str | None = None  # the person, whose role grants the scopes


@dataclass(frozen=True, slots=True)
class Key:
    """A credential, without its secret."""

    id: str
    account_id: str
    kind: Credential
    name: str
    hint: str  # the first characters of the secret
    scopes: Scopes
    rate_per_s: float | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None  # to the minute
    last_used_from: str  # an IP address, or empty
    parent_id: str | None = None  # the API key with which a session or login link ends


def new_secret(kind: Credential) -> str:
    """Return a new secret of 160 random bits, shown once and stored only as a hash."""
    return kind.value + ids.secret(160)


def hash_secret(secret: str) -> bytes:
    """Return the stored hash of a key: SHA-256 suffices, because the secret is random."""
    return hashlib.sha256(secret.encode()).digest()


def hint(secret: str) -> str:
    """Return the first characters of a key, for display."""
    return secret[:_HINT_LENGTH] + "…"


def same(one: str, other: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
