"""Sends one message to one endpoint, signed by Standard Webhooks, and says how it went."""

import time
from collections.abc import Mapping, Sequence
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


def body_of(delivery: Delivery, forms: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the event with the first of the `forms` of its subject that fits, or with none."""
    event = delivery.event
    for subject in forms:
        body = _to_json(event | {"data": {**event["data"], **subject}})
        if len(body) <= _MOST_BYTES:
            return body
    return _to_json(event)


def _to_json(event: Mapping[str, Any]) -> bytes:
    return orjson.dumps(event, option=orjson.OPT_UTC_Z)


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
        return failed(delivery, jitter, error=error.detail)
    excerpt = posted.text[:_EXCERPT]
    if HTTPStatus.OK <= posted.status < HTTPStatus.MULTIPLE_CHOICES:
        DELIVERIES.labels("delivered").inc()
        return Outcome(DeliveryState.DELIVERED, posted.status, answer=excerpt)
    error = f"The endpoint answered with status {posted.status}."
    if posted.status == HTTPStatus.GONE:
        DELIVERIES.labels("gone").inc()
        return Outcome(DeliveryState.FAILED, posted.status, error, excerpt, gone=True)
    return failed(delivery, jitter, posted.status, error, excerpt, posted.retry_after)


def failed(
    delivery: Delivery,
    jitter: float,
    status: int | None = None,
    error: str = "",
    answer: str = "",
    at_least: timedelta | None = None,
) -> Outcome:
    """Return what follows from a failed try: another, or the end after the last."""
    wait = wait_after(delivery.tries, jitter)
    if wait is None:
        DELIVERIES.labels("given_up").inc()
        return Outcome(DeliveryState.FAILED, status, error, answer)
    DELIVERIES.labels("failed").inc()
    wait = max(wait, at_least or timedelta())
    return Outcome(DeliveryState.PENDING, status, error, answer, wait)
