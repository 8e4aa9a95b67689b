"""Sends one message to one endpoint, signed by Standard Webhooks, and says how it went."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import orjson
from prometheus_client import Counter

from safelight.delivery.endpoint import Delivery, DeliveryState, Endpoint, sign, wait_after
from safelight.errors import FetchError
from safelight.fetch import Poster

DELIVERIES = Counter("safelight_deliveries_total", "Tries to deliver a webhook.", ("outcome",))

_MOST_BYTES = 20_000
_EXCERPT = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try ended, and after which wait another follows if it is still pending."""

    state: DeliveryState
    status: int | None = None
    error: str = ""
    answer: str = ""
    wait: timedelta = timedelta()
    gone: bool = False  # the endpoint wants nothing more


def body_of(delivery: Delivery, subject: Mapping[str, Any]) -> bytes:
    """Return the event with the document of its subject, or without it where that is too long."""
    event = delivery.event
    full = orjson.dumps(event | {"data": {**event["data"], **subject}}, option=orjson.OPT_UTC_Z)
    return full if len(full) <= _MOST_BYTES else orjson.dumps(event, option=orjson.OPT_UTC_Z)


async def send(
    poster: Poster, endpoint: Endpoint, delivery: Delivery, body: bytes, *, jitter: float
) -> Outcome:
    """Post the message once."""
    timestamp = int(time.time())
    fields = {
        "webhook-id": delivery.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(endpoint.secret, delivery.id, timestamp, body),
    }
    try:
        posted = await poster.post(endpoint.url, body, fields)
    except FetchError as error:
        return _again(delivery, jitter, error=error.detail)
    excerpt = posted.text[:_EXCERPT]
    if HTTPStatus.OK <= posted.status < HTTPStatus.MULTIPLE_CHOICES:
        DELIVERIES.labels("delivered").inc()
        return Outcome(DeliveryState.DELIVERED, posted.status, answer=excerpt)
    error = f"The endpoint answered with status {posted.status}."
    if posted.status == HTTPStatus.GONE:
        DELIVERIES.labels("gone").inc()
        return Outcome(DeliveryState.FAILED, posted.status, error, excerpt, gone=True)
    return _again(delivery, jitter, posted.status, error, excerpt, posted.retry_after)


def _again(
    delivery: Delivery,
    jitter: float,
    status: int | None = None,
    error: str = "",
    answer: str = "",
    at_least: timedelta | None = None,
) -> Outcome:
    wait = wait_after(delivery.tries, jitter)
    if wait is None:
        DELIVERIES.labels("given_up").inc()
        return Outcome(DeliveryState.FAILED, status, error, answer)
    DELIVERIES.labels("failed").inc()
    wait = max(wait, at_least or timedelta())
    return Outcome(DeliveryState.PENDING, status, error, answer, wait)
