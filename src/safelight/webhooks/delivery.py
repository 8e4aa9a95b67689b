"""What a delivery is, how each of its tries went, and what follows from that. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any

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


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # every try failed, or the endpoint takes no more


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of `deliveries`: one event on its way to one endpoint. Its id is the message's."""

    id: str
    endpoint_id: str
    event_id: str
    event: dict[str, Any]
    url: str  # that a job or batch named; empty is the endpoint's own
    receiver: str  # whose share of what is under way it takes from
    state: DeliveryState
    tries: int
    claim_no: int  # the fencing token; counts all tries, also those before it was sent again
    due_at: datetime
    status: int | None
    error: str
    answer: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Part:
    """What of a request or an answer is kept: its header fields, and how its body begins."""

    headers: dict[str, str]
    body: str

    def document(self) -> dict[str, Any]:
        return {"headers": self.headers, "body": self.body}


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a delivery, with an answer or with the error that there was instead."""

    at: datetime
    took: timedelta
    request: Part
    answer: Part | None = None
    status: int | None = None
    error: str = ""

    @property
    def is_success(self) -> bool:
        """Say whether the receiver took the message; a redirect is not followed, so it did not."""
        return self.status is not None and HTTPStatus(200) <= self.status < HTTPStatus(300)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a delivery, and after which wait it is tried again if it is pending."""

    state: DeliveryState
    error: str = ""
    wait: timedelta = timedelta()
    gone: bool = False  # the endpoint wants nothing more
    tried: Try | None = None


@dataclass(frozen=True, slots=True)
class Logged:
    """One row of `delivery_tries`."""

    number: int
    at: datetime
    took_ms: int
    status: int | None
    error: str
    request: Mapping[str, Any]
    answer: Mapping[str, Any] | None


def judge(tried: Try, tries: int, *, asked: timedelta | None, jitter: float) -> Outcome:
    """Return what follows from a try that was the delivery's number `tries`.

    `asked` is how long the receiver wants to be left alone, `jitter` a random number from 0 to 1.
    """
    if tried.is_success:
        return Outcome(DeliveryState.DELIVERED, tried=tried)
    if tried.status == HTTPStatus.GONE:
        return Outcome(DeliveryState.FAILED, tried.error, gone=True, tried=tried)
    return after_failure(tried.error, tries, asked=asked, jitter=jitter, tried=tried)


def after_failure(
    error: str,
    tries: int,
    *,
    jitter: float,
    asked: timedelta | None = None,
    tried: Try | None = None,
) -> Outcome:
    """Return another try later, or the end after the last."""
    wait = wait_after(tries, jitter)
    if wait is None:
        return Outcome(DeliveryState.FAILED, error, tried=tried)
    return Outcome(DeliveryState.PENDING, error, max(wait, asked or timedelta()), tried=tried)


def wait_after(tries: int, jitter: float) -> timedelta | None:
    """Return how long to wait after `tries` failed ones; None when that was the last."""
    if tries >= len(_WAITS):
        return None
    return _WAITS[tries] * (1 + _JITTER * jitter)
