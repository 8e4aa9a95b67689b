"""Deliveries, their tries, and the retry schedule. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypedDict

from safelight.json_object import JsonObject

# Before each try, including the first: about three days in total, as Standard Webhooks advises.
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
_HANGS_FROM = timedelta(seconds=3)


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # all tries failed, or the endpoint was disabled


class NewDelivery(TypedDict):
    """The row of a delivery about to be created, due now."""

    id: str
    endpoint_id: str
    event_id: str
    event: Mapping[str, Any]
    url: str
    receiver: str
    state: DeliveryState


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of `deliveries`: one event to be sent to one endpoint. Its id is the message id."""

    id: str
    endpoint_id: str
    event_id: str
    event: JsonObject
    url: str  # named by a job or batch; empty: the endpoint's URL
    receiver: str  # the receiver whose share it counts against
    state: DeliveryState
    tries: int
    claim_no: int  # the fencing token; counts all tries, including those before a redelivery
    due_at: datetime
    status: int | None
    error: str
    answer: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Part:
    """The logged part of a request or response: its headers, and the start of its body."""

    headers: dict[str, str]
    body: str

    def document(self) -> JsonObject:
        return {"headers": self.headers, "body": self.body}


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a delivery, with a response or an error."""

    at: datetime
    took: timedelta
    request: Part
    answer: Part | None = None
    status: int | None = None
    error: str = ""

    @property
    def is_success(self) -> bool:
        """Whether the receiver accepted the message; redirects count as failures."""
        return self.status is not None and HTTPStatus(200) <= self.status < HTTPStatus(300)

    @property
    def hung(self) -> bool:
        """Whether the receiver kept a slot for seconds and gave no answer."""
        return self.status is None and self.took >= _HANGS_FROM


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """The next state of a delivery, and the wait before the next try if it is pending."""

    state: DeliveryState
    error: str = ""
    wait: timedelta = timedelta()
    gone: bool = False  # the endpoint asked to be disabled
    tried: Try | None = None


@dataclass(frozen=True, slots=True)
class Logged:
    """A row of `delivery_tries`."""

    number: int
    at: datetime
    took_ms: int
    status: int | None
    error: str
    request: Mapping[str, Any]
    answer: Mapping[str, Any] | None


def judge(tried: Try, tries: int, *, asked: timedelta | None, jitter: float) -> SendOutcome:
    """Return the outcome of try number `tries`.

    `asked` is the receiver's Retry-After delay, `jitter` a random number from 0 to 1.
    """
    if tried.is_success:
        return SendOutcome(DeliveryState.DELIVERED, tried=tried)
    if tried.status == HTTPStatus.GONE:
        return SendOutcome(DeliveryState.FAILED, tried.error, gone=True, tried=tried)
    return after_failure(tried.error, tries, asked=asked, jitter=jitter, tried=tried)


def after_failure(
    error: str,
    tries: int,
    *,
    jitter: float,
    asked: timedelta | None = None,
    tried: Try | None = None,
) -> SendOutcome:
    """Return a later retry, or failure after the last try."""
    wait = wait_after(tries, jitter)
    if wait is None:
        return SendOutcome(DeliveryState.FAILED, error, tried=tried)
    return SendOutcome(DeliveryState.PENDING, error, max(wait, asked or timedelta()), tried=tried)


def wait_after(tries: int, jitter: float) -> timedelta | None:
    """Return the wait after `tries` failures; None if that was the last."""
    if tries >= len(_WAITS):
        return None
    return _WAITS[tries] * (1 + _JITTER * jitter)
