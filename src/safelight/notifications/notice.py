"""Notices, their rendered content, and the interface of senders."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NotRequired, Protocol, TypedDict

from safelight.json_object import JsonObject
from safelight.notifications.contact import Contact
from safelight.webhooks.delivery import DeliveryState


class NewNotice(TypedDict):
    """The row of a notice about to be created."""

    id: str
    contact_id: str
    event_id: str
    event: Mapping[str, Any]
    state: DeliveryState
    due_at: NotRequired[datetime]  # else it is due now


@dataclass(frozen=True, slots=True)
class Notice:
    """A row of `notices`: one event to be sent to one contact."""

    id: str
    contact_id: str
    event_id: str
    event: JsonObject
    state: DeliveryState
    tries: int
    claim_no: int  # the fencing token
    due_at: datetime
    error: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Content:
    """A rendered notice, in all forms that channels need."""

    subject: str
    text: str
    html: str
    short: str  # for an SMS
    data: str  # the event as JSON, as for webhooks


class NotSentError(Exception):
    """The notice was not sent; it is retried unless `hopeless`.

    `gone` means that the address no longer accepts anything.
    """

    def __init__(self, reason: str, *, hopeless: bool = False, gone: bool = False) -> None:
        super().__init__(reason)
        self.hopeless = hopeless or gone
        self.gone = gone


class Sender(Protocol):
    """Sends notices over one channel."""

    async def send(self, notice: Notice, contact: Contact, content: Content) -> None:
        """Send a notice, within a minute; raise `NotSentError`."""
        ...

    async def check(self) -> None:
        """Try whether notices could be sent, at no cost; raise `NotSentError`."""
        ...
