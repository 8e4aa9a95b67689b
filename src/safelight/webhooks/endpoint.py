"""Webhook endpoints: their event patterns, secrets and signatures. Pure."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

FINAL_EVENTS = ("job.succeeded", "job.failed", "job.canceled", "batch.finished")
TEST_EVENT = "webhook.test"  # sent on request; not in the event log

BOTH_VALID = timedelta(hours=24)  # the old secret and the new one, after a rotation
GIVEN_UP_AFTER = timedelta(days=5)  # of consecutive failures

_SECRET_BYTES = 32
_SECRET_PREFIX = "whsec_"  # noqa: S105  a prefix, not a secret


class DisabledReason(StrEnum):
    """Why an endpoint is disabled."""

    ASKED = "asked"  # by its account
    GONE = "gone"  # it responded with 410
    FAILING = "failing"  # for days without a success


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A row of `endpoints`: a URL of an account, and the events it subscribes to.

    Each account has a default endpoint without a URL: its secret and log serve the webhook URLs
    that single jobs and batches name.
    """

    id: str
    account_id: str
    url: str
    events: list[str]
    thin: bool  # omits the subject's document
    secret: str = field(repr=False)
    old_secret: str | None = field(repr=False)
    old_secret_until: datetime | None
    seq: int
    created_at: datetime
    failing_since: datetime | None  # the first failure after the last success
    disabled_at: datetime | None
    disabled_reason: str

    @property
    def is_default(self) -> bool:
        """Whether it is the one for webhook URLs named by jobs and batches."""
        return not self.url

    def wants(self, event_type: str) -> bool:
        """Return whether it subscribes to events of that type."""
        return any(matches(pattern, event_type) for pattern in self.events)

    def secrets_at(self, time: datetime) -> list[str]:
        """Return the secrets that sign messages at that time, newest first."""
        if self.old_secret and self.old_secret_until and time < self.old_secret_until:
            return [self.secret, self.old_secret]
        return [self.secret]


def matches(pattern: str, event_type: str) -> bool:
    """Return whether `event_type` matches `pattern`, which may end in `*`, as in `job.*`."""
    if pattern.endswith("*"):
        return event_type.startswith(pattern[:-1])
    return event_type == pattern


def unknown_patterns(patterns: Sequence[str], types: frozenset[str]) -> list[str]:
    """Return the `patterns` that match no event type."""
    return [pattern for pattern in patterns if not any(matches(pattern, kind) for kind in types)]


def new_secret() -> str:
    """Return a signing secret in Standard Webhooks format."""
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return one signature of a message (https://www.standardwebhooks.com)."""
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
