"""People: their addresses, passwords' limits, memberships and tokens. Pure."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from email_validator import EmailNotValidError, validate_email

from safelight import ids
from safelight.accounts.scopes import Role

LEAST_PASSWORD = 12  # characters (NIST SP 800-63B)
MOST_PASSWORD = 1_024
MOST_EMAIL = 254  # RFC 5321
RESET_LASTS = timedelta(hours=1)
EMAIL_LASTS = timedelta(days=1)
SECOND_STEP_LASTS = timedelta(minutes=5)
INVITATION_LASTS = timedelta(days=7)

_TOKEN = "tok_"  # noqa: S105  a prefix


class Purpose(StrEnum):
    """The one step that a token allows."""

    RESET = "reset"  # choose a password
    EMAIL = "email"  # confirm an address
    SECOND_STEP = "second_step"  # enter a code after the password


@dataclass(frozen=True, slots=True)
class User:
    """One row of `users`."""

    id: str
    email: str
    email_key: str
    password: str = field(repr=False)  # an argon2id hash; empty: none
    is_operator: bool
    created_at: datetime
    verified_at: datetime | None
    disabled_at: datetime | None
    totp_secret: str = field(repr=False)
    totp_since: datetime | None
    totp_step: int

    @property
    def has_totp(self) -> bool:
        """Whether a code is asked for after the password."""
        return self.totp_since is not None


@dataclass(frozen=True, slots=True)
class Membership:
    """A person's role in one account."""

    account_id: str
    account_name: str
    user_id: str
    email: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None  # of the person


@dataclass(frozen=True, slots=True)
class Invitation:
    """One row of `invitations`, without the token's hash."""

    id: str
    account_id: str
    email: str
    role: Role
    mailed: bool
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Throttle:
    """The most that may happen under one name within a window of time."""

    most: int
    window: timedelta


def checked_email(text: str) -> str:
    """Return the address in its normal form; raise `ValueError`, with a reason, if it is none."""
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None


def email_key(email: str) -> str:
    """Return the form in which addresses are compared: case-folded."""
    return email.casefold()


def mailbox_of(email: str) -> str:
    """Return the mailbox that mail to an address reaches: without a `+tag`, case-folded."""
    user, _, domain = email_key(email).rpartition("@")
    return f"{user.partition('+')[0]}@{domain}"


def new_token() -> str:
    """Return a token of 160 random bits, which is stored only as a hash."""
    return _TOKEN + ids.secret(160)


def hash_token(token: str) -> bytes:
    """Return the stored hash of a token or a recovery code; both are random."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
