"""Decides which endpoints receive which events, and at which URL. Pure rules."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from safelight import ids
from safelight.events import Event
from safelight.webhooks.delivery import DeliveryState, NewDelivery
from safelight.webhooks.endpoint import FINAL_EVENTS, TEST_EVENT, Endpoint

# Ids in a path: URLs that differ in them alone are one receiver, which hangs or is well as one.
_ID = re.compile(r"[0-9A-Za-z_-]{16,}|[0-9A-Fa-f]{8,}|[0-9]+", re.ASCII)


def deliveries_of(
    found: Iterable[Event], endpoints: Iterable[Endpoint], urls: Mapping[str, str]
) -> list[NewDelivery]:
    """Return the delivery rows for these events and endpoints.

    `urls` are the webhook URLs named by jobs and batches, by id: they receive only their ends.
    """
    of_account: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        if endpoint.disabled_at is None:
            of_account.setdefault(endpoint.account_id, []).append(endpoint)
    return [
        row
        for event in found
        for endpoint in of_account.get(event.account_id, ())
        if (row := _row(endpoint, event, urls)) is not None
    ]


def named_in(found: Iterable[Event]) -> list[str]:
    """Return the jobs and batches that have ended, which may have named a webhook URL."""
    return [event.subject for event in found if event.type in FINAL_EVENTS]


def trial_of(endpoint: Endpoint) -> NewDelivery:
    """Return the row of a test message."""
    event_id = ids.new("event")
    event = {
        "id": event_id,
        "type": TEST_EVENT,
        "seq": 1,
        "account_id": endpoint.account_id,
        "subject": endpoint.id,
        "data": {"message": "This is a test."},
        "created_at": datetime.now(UTC).isoformat(),
    }
    # A receiver of its own: a person waits for it, and pauses of the endpoint do not hold it back.
    return _new(endpoint, event_id, event, receiver=f"{endpoint.id}/test")


def _row(endpoint: Endpoint, event: Event, urls: Mapping[str, str]) -> NewDelivery | None:
    document = event.document() | {"created_at": event.created_at.isoformat()}
    if endpoint.wants(event.type):
        return _new(endpoint, event.id, document)
    if endpoint.is_default and event.type in FINAL_EVENTS and (url := urls.get(event.subject)):
        return _new(endpoint, event.id, document, url=url, receiver=_at(endpoint, url))
    return None


def _new(
    endpoint: Endpoint,
    event_id: str,
    event: Mapping[str, Any],
    *,
    url: str = "",
    receiver: str = "",
) -> NewDelivery:
    return {
        "id": ids.new("delivery"),
        "endpoint_id": endpoint.id,
        "event_id": event_id,
        "event": event,
        "url": url,
        "receiver": receiver or endpoint.id,
        "state": DeliveryState.PENDING,
    }


def _at(endpoint: Endpoint, url: str) -> str:
    parts = urlsplit(url)
    place = f"{parts.netloc.lower()}{_ID.sub('*', parts.path)}"
    return f"{endpoint.id}/{hashlib.sha256(place.encode()).hexdigest()[:16]}"
