"""What a notice is, and what a sender says where it could not send one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from safelight.notifications.contact import Contact
from safelight.webhooks.delivery import DeliveryState


@dataclass(frozen=True, slots=True)
class Notice:
    """One row of `notices`: one event on its way to one contact."""

    id: str
    contact_id: str
    event_id: str
    event: dict[str, Any]
    state: DeliveryState
    tries: int
    claim_no: int  # the fencing token
    due_at: datetime
    error: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Content:
    """What a notice says, in every form that a channel may want."""

    subject: str
    text: str
    html: str
    short: str  # for an SMS
    data: str  # the event as JSON, as webhooks get it


class NotSentError(Exception):
    """The notice was not sent; it is tried again unless that is `hopeless`.

    `gone` says that the address takes nothing any more.
    """

    def __init__(self, reason: str, *, hopeless: bool = False, gone: bool = False) -> None:
        super().__init__(reason)
        self.hopeless = hopeless or gone
        self.gone = gone


class Sender(Protocol):
    """Sends notices by one channel."""

    async def send(self, notice: Notice, contact: Contact, content: Content) -> None:
        """Send one, within a minute; raise `NotSentError`."""
        ...
