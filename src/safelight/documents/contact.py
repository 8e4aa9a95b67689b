"""The documents of contacts and of the notices sent to them."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from safelight.documents.values import Cursor, DeliveryState, Moment


class Contact(TypedDict):
    """Somebody who is notified by mail, SMS or an SNS topic."""

    id: Annotated[str, Field(examples=["con_01k9x3v7q2m8"])]
    channel: Literal["email", "sms", "sns"]
    address: Annotated[str, Field(examples=["me@example.com"])]
    events: Annotated[list[str], Field(examples=[["job.failed"]])]
    digest: Annotated[bool, Field(description="Ends of jobs and batches come once a day.")]
    created_at: Moment
    confirmed_at: Moment | None
    stopped_at: Annotated[Moment | None, Field(description="When they unsubscribed.")]
    stopped_reason: str | None


class ContactList(TypedDict):
    """All contacts of an account."""

    data: list[Contact]
    next_cursor: Cursor


class Notice(TypedDict):
    """One message to one contact."""

    id: Annotated[str, Field(examples=["ntc_01k9x3v7q2m8"])]
    event_id: str
    type: Annotated[str, Field(examples=["job.failed"])]
    subject: str
    state: Annotated[DeliveryState, Field(examples=["delivered"])]
    tries: int
    error: str | None
    next_try_at: Moment | None
    created_at: Moment
    finished_at: Moment | None


class NoticeList(TypedDict):
    """A page of notices."""

    data: list[Notice]
    next_cursor: Cursor
