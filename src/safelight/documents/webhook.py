"""The documents of webhook endpoints and of what was delivered to them."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from safelight.documents.values import Cursor, DeliveryState, Moment


class Webhook(TypedDict):
    """A webhook endpoint."""

    id: Annotated[str, Field(examples=["whe_01k9x3v7q2m8"])]
    url: Annotated[str | None, Field(examples=["https://example.com/hooks"])]
    events: Annotated[list[str], Field(examples=[["job.*"]])]
    thin: Annotated[bool, Field(description="Messages leave out the job or batch document.")]
    is_default: Annotated[bool, Field(description="It signs messages to `webhook_url`s of jobs.")]
    created_at: Moment
    old_secret_until: Moment | None
    failing_since: Moment | None
    disabled_at: Moment | None
    disabled_reason: str | None


class WebhookWithSecret(Webhook):
    """A webhook endpoint with the secret that signs its messages."""

    secret: Annotated[str, Field(examples=["whsec_…"])]


class WebhookList(TypedDict):
    """All webhook endpoints of an account."""

    data: list[Webhook]
    next_cursor: Cursor


class Delivery(TypedDict):
    """One message to one webhook endpoint."""

    id: Annotated[str, Field(examples=["dlv_01k9x3v7q2m8"])]
    event_id: Annotated[str, Field(examples=["evt_01k9x3v7q2m8"])]
    type: Annotated[str, Field(examples=["job.succeeded"])]
    subject: Annotated[str, Field(examples=["job_01k9x3v7q2m8"])]
    url: str | None
    state: Annotated[DeliveryState, Field(examples=["delivered"])]
    tries: Annotated[int, Field(examples=[1])]
    status: Annotated[int | None, Field(description="Last HTTP status.", examples=[204])]
    error: str | None
    answer: Annotated[str | None, Field(description="How the last response began.")]
    next_try_at: Moment | None
    created_at: Moment
    finished_at: Moment | None


class HttpMessage(TypedDict):
    """The headers of a request or response, and how its body begins."""

    headers: dict[str, str]
    body: str


class DeliveryTry(TypedDict):
    """One try of a delivery."""

    number: Annotated[int, Field(examples=[1])]
    at: Moment
    took_ms: int
    status: int | None
    error: str | None
    request: HttpMessage
    answer: HttpMessage | None


class DeliveryWithLog(Delivery):
    """A delivery with its last tries."""

    log: list[DeliveryTry]


class DeliveryList(TypedDict):
    """A page of deliveries."""

    data: list[Delivery]
    next_cursor: Cursor


class Redelivered(TypedDict):
    """How many messages are sent again."""

    redelivered: int
    next_since: Annotated[
        Moment | None, Field(description="`since` of the next call; null when none are left.")
    ]
