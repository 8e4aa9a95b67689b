"""Sends one message to one URL, signed according to Standard Webhooks."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from prometheus_client import Counter

from safelight.fetch import Posted, Poster
from safelight.fetch.errors import FetchError
from safelight.webhooks.delivery import (
    Delivery,
    DeliveryState,
    Part,
    SendOutcome,
    Try,
    after_failure,
    judge,
)
from safelight.webhooks.endpoint import Endpoint, sign

DELIVERIES = Counter("safelight_deliveries_total", "Tries to deliver a webhook.", ("outcome",))

MOST_BYTES = 20_000
_EXCERPT = 500


def body_of(event: Mapping[str, Any], forms: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the event with the first of its subject's `forms` that fits the size limit, or none.

    If the event's own data is too long as well, it is dropped.
    """
    for data in (*({**event["data"], **form} for form in forms), event["data"]):
        body = _to_json({**event, "data": data})
        if len(body) <= MOST_BYTES:
            return body
    return _to_json({**event, "data": {}})


def _to_json(event: Mapping[str, Any]) -> bytes:
    return orjson.dumps(event, option=orjson.OPT_UTC_Z)


async def send(
    poster: Poster, endpoint: Endpoint, delivery: Delivery, body: bytes, *, jitter: float
) -> SendOutcome:
    """Post the message once, and return the outcome."""
    at, began = datetime.now(UTC), time.monotonic()
    fields = _signed(endpoint, delivery.id, at, body)
    posted: Posted | None = None
    error = ""
    try:
        posted = await poster.post(delivery.url or endpoint.url, body, fields)
    except FetchError as failure:
        error = failure.detail
    took = timedelta(seconds=time.monotonic() - began)
    request = Part(fields, body[:_EXCERPT].decode(errors="replace"))
    tried = _said(posted, at, took, request) if posted else Try(at, took, request, error=error)
    outcome = judge(
        tried, delivery.tries, asked=posted.retry_after if posted else None, jitter=jitter
    )
    _count(outcome)
    return outcome


def unforeseen(delivery: Delivery, *, jitter: float) -> SendOutcome:
    """Return the outcome of an unexpected error, which counts as a failed try."""
    error = "Sending failed for an unknown reason."
    outcome = after_failure(error, delivery.tries, jitter=jitter)
    _count(outcome)
    return outcome


def _signed(endpoint: Endpoint, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    timestamp = int(at.timestamp())
    signatures = [sign(secret, message_id, timestamp, body) for secret in endpoint.secrets_at(at)]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _said(posted: Posted, at: datetime, took: timedelta, request: Part) -> Try:
    answer = Part(posted.headers, posted.text[:_EXCERPT])
    tried = Try(at, took, request, answer, posted.status)
    if tried.is_success:
        return tried
    error = f"The endpoint answered with status {posted.status}."
    return Try(at, took, request, answer, posted.status, error)


def _count(outcome: SendOutcome) -> None:
    if outcome.gone:
        kind = "gone"
    elif outcome.state is DeliveryState.FAILED:
        kind = "given_up"
    else:
        kind = "failed" if outcome.state is DeliveryState.PENDING else "delivered"
    DELIVERIES.labels(kind).inc()
