"""Decides which endpoints receive which events, and at which URL. Pure rules."""

import zlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from safelight import ids
from safelight.events import Event
from safelight.webhooks.delivery import DeliveryState
from safelight.webhooks.endpoint import FINAL_EVENTS, TEST_EVENT, Endpoint

# URLs named by jobs can point to any number of hosts. An account's hosts are hashed into this many
# receivers, so that a hanging host delays few others and their total share is bounded.
_RECEIVERS = 16


def deliveries_of(
    found: Iterable[Event], endpoints: Iterable[Endpoint], urls: Mapping[str, str]
) -> list[dict[str, Any]]:
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


def trial_of(endpoint: Endpoint) -> dict[str, Any]:
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
    return _new(endpoint, event_id, event)


def _row(endpoint: Endpoint, event: Event, urls: Mapping[str, str]) -> dict[str, Any] | None:
    document = event.document() | {"created_at": event.created_at.isoformat()}
    if endpoint.wants(event.type):
        return _new(endpoint, event.id, document)
    if endpoint.is_default and event.type in FINAL_EVENTS and (url := urls.get(event.subject)):
        return _new(endpoint, event.id, document) | {"url": url, "receiver": _at(endpoint, url)}
    return None


def _new(endpoint: Endpoint, event_id: str, event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": ids.new("delivery"),
        "endpoint_id": endpoint.id,
        "event_id": event_id,
        "event": event,
        "url": "",
        "receiver": endpoint.id,
        "state": DeliveryState.PENDING,
    }


def _at(endpoint: Endpoint, url: str) -> str:
    host = urlsplit(url).netloc.lower()
    return f"{endpoint.id}/{zlib.crc32(host.encode()) % _RECEIVERS}"
