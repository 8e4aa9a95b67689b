"""What a webhook endpoint is, which events it wants, and when a failed delivery is tried again."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

DEFAULT_EVENTS = ("job.succeeded", "job.failed", "job.canceled", "batch.finished")

# Before each try, the first included: about three days in all, as Standard Webhooks advises.
_WAITS = (
    timedelta(),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
_JITTER = 0.1
_SECRET_BYTES = 32
_SECRET_PREFIX = "whsec_"  # noqa: S105  says what follows, and is none itself


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # every try failed, or the endpoint is gone


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of `endpoints`: where an account wants to be told, and of what."""

    id: str
    account_id: str
    url: str
    events: list[str]
    secret: str
    created_at: datetime
    disabled_at: datetime | None

    def wants(self, event_type: str) -> bool:
        """Say whether it asked for events of that type."""
        return any(matches(pattern, event_type) for pattern in self.events)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of `deliveries`: one event on its way to one endpoint. Its id is the message's."""

    id: str
    endpoint_id: str
    event_id: str
    event: dict[str, Any]
    state: DeliveryState
    tries: int
    due_at: datetime
    status: int | None
    error: str
    answer: str
    created_at: datetime
    finished_at: datetime | None


def matches(pattern: str, event_type: str) -> bool:
    """Say whether `event_type` is `pattern`, or begins as `job.*` or `*` says."""
    if pattern.endswith("*"):
        return event_type.startswith(pattern[:-1])
    return event_type == pattern


def unknown_patterns(patterns: Sequence[str], types: frozenset[str]) -> list[str]:
    """Return those of `patterns` that no event type matches."""
    return [pattern for pattern in patterns if not any(matches(pattern, kind) for kind in types)]


def wait_after(tries: int, jitter: float) -> timedelta | None:
    """Return how long to wait after `tries` failed ones; None when that was the last.

    `jitter` is a random number from 0 to 1.
    """
    if tries >= len(_WAITS):
        return None
    return _WAITS[tries] * (1 + _JITTER * jitter)


def new_secret() -> str:
    """Return a signing secret in the form of Standard Webhooks."""
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` of a message (https://www.standardwebhooks.com)."""
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
