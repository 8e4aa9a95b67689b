"""What a webhook endpoint is, which events it wants, and by which secrets it is told. Pure."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

FINAL_EVENTS = ("job.succeeded", "job.failed", "job.canceled", "batch.finished")
TEST_EVENT = "webhook.test"  # sent when asked for; happens to nothing, so it is in no log

BOTH_VALID = timedelta(hours=24)  # the old secret and the new one, after a rotation
GIVEN_UP_AFTER = timedelta(days=5)  # of nothing but failures

_SECRET_BYTES = 32
_SECRET_PREFIX = "whsec_"  # noqa: S105  says what follows, and is none itself


class DisabledReason(StrEnum):
    """Why an endpoint is told nothing."""

    ASKED = "asked"  # by its account
    GONE = "gone"  # it answered 410
    FAILING = "failing"  # for days, and nothing else


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of `endpoints`: where an account wants to be told, and of what.

    One of each account has no address: it is the sender, with its secret and its log, to the
    addresses that single jobs and batches name.
    """

    id: str
    account_id: str
    url: str
    events: list[str]
    thin: bool  # events without the document of their subject
    secret: str
    old_secret: str | None
    old_secret_until: datetime | None
    seq: int
    created_at: datetime
    failing_since: datetime | None  # the first failure after the last success
    disabled_at: datetime | None
    disabled_reason: str

    @property
    def is_default(self) -> bool:
        """Say whether it is the one for addresses that jobs and batches name."""
        return not self.url

    def wants(self, event_type: str) -> bool:
        """Say whether it asked for events of that type."""
        return any(matches(pattern, event_type) for pattern in self.events)

    def secrets_at(self, time: datetime) -> list[str]:
        """Return what a message of that moment is signed with, the newest first."""
        if self.old_secret and self.old_secret_until and time < self.old_secret_until:
            return [self.secret, self.old_secret]
        return [self.secret]


def matches(pattern: str, event_type: str) -> bool:
    """Say whether `event_type` is `pattern`, or begins as `job.*` or `*` says."""
    if pattern.endswith("*"):
        return event_type.startswith(pattern[:-1])
    return event_type == pattern


def unknown_patterns(patterns: Sequence[str], types: frozenset[str]) -> list[str]:
    """Return those of `patterns` that no event type matches."""
    return [pattern for pattern in patterns if not any(matches(pattern, kind) for kind in types)]


def new_secret() -> str:
    """Return a signing secret in the form of Standard Webhooks."""
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return one signature of a message (https://www.standardwebhooks.com)."""
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
