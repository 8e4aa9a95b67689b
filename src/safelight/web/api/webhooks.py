"""Routes for webhook endpoints and their deliveries."""

from typing import Annotated, cast

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from safelight import documents
from safelight.errors import InvalidRequest
from safelight.fetch.errors import UrlNotAllowed
from safelight.jobs.fields import STRICT, Time
from safelight.web.answers import json_response
from safelight.web.api.jobs import Cursor, Limit
from safelight.web.auth import Parts, WebhookReader, WebhookWriter
from safelight.web.contract import returns
from safelight.web.json_route import JsonRoute
from safelight.webhooks.delivery import Delivery, DeliveryState, Logged
from safelight.webhooks.endpoint import FINAL_EVENTS, Endpoint
from safelight.webhooks.errors import EndpointDisabled

router = APIRouter(route_class=JsonRoute, prefix="/v1/webhooks", tags=["webhooks"])

Address = Annotated[str, Field(max_length=2048, description="URL that messages are posted to.")]
Pattern = Annotated[str, Field(min_length=1, max_length=64)]
Patterns = Annotated[
    list[Pattern],
    Field(
        min_length=1,
        max_length=32,
        description="Event types; `job.*` matches the prefix, `*` matches all.",
    ),
]
Thin = Annotated[bool, Field(description="Omit the document of the job or batch.")]


class NewWebhook(BaseModel):
    """Body of `POST /v1/webhooks`."""

    model_config = STRICT

    url: Address
    events: Patterns = list(FINAL_EVENTS)
    thin: Thin = False


class WebhookChange(BaseModel):
    """Body of `PATCH /v1/webhooks/{id}`; omitted fields stay."""

    model_config = STRICT

    url: Address = ""
    events: Patterns = list(FINAL_EVENTS)
    thin: Thin = False
    disabled: bool = Field(default=False, description="`false` enables it again.")


class RedeliverSince(BaseModel):
    """Body of `POST /v1/webhooks/{id}/redeliver`."""

    model_config = STRICT

    since: Time
    delivered_too: bool = Field(default=False, description="Include those that were delivered.")


@router.post("", **returns(documents.WebhookWithSecret, UrlNotAllowed, status=201))
async def create_webhook(body: NewWebhook, caller: WebhookWriter, services: Parts) -> Response:
    """Create an endpoint. Its signing `secret` is shown only here."""
    services.entry.check_url(body.url)
    made = await services.webhooks.create(
        caller.account_id, url=body.url, wanted=body.events, thin=body.thin
    )
    return json_response(_with_secret(made), 201)


@router.get("", **returns(documents.WebhookList))
async def list_webhooks(caller: WebhookReader, services: Parts) -> Response:
    """Return your endpoints, oldest first."""
    found = await services.webhooks.all_of(caller.account_id)
    document: documents.WebhookList = {
        "data": [_document(each) for each in found],
        "next_cursor": None,
    }
    return json_response(document)


@router.get("/default/secret", **returns(documents.WebhookWithSecret))
async def get_default_secret(caller: WebhookWriter, services: Parts) -> Response:
    """Return the signing secret of messages to the `webhook_url` of jobs and batches."""
    found = await services.webhooks.default(caller.account_id)
    return json_response(_with_secret(found))


@router.get("/{endpoint_id}", **returns(documents.Webhook))
async def get_webhook(endpoint_id: str, caller: WebhookReader, services: Parts) -> Response:
    """Return one endpoint."""
    return json_response(_document(await services.webhooks.get(caller.account_id, endpoint_id)))


@router.patch("/{endpoint_id}", **returns(documents.Webhook, UrlNotAllowed))
async def change_webhook(
    endpoint_id: str, body: WebhookChange, caller: WebhookWriter, services: Parts
) -> Response:
    """Change an endpoint, disable it, or enable it again."""
    values = body.model_dump(exclude_unset=True)
    disabled: bool | None = values.pop("disabled", None)
    if "url" in values:
        services.entry.check_url(body.url)
    found = await services.webhooks.change(
        caller.account_id, endpoint_id, values, disabled=disabled
    )
    return json_response(_document(found))


@router.post("/{endpoint_id}/rotate", **returns(documents.WebhookWithSecret))
async def rotate_webhook_secret(
    endpoint_id: str, caller: WebhookWriter, services: Parts
) -> Response:
    """Rotate the `secret`, shown only here. For 24 h messages are signed with the old one too."""
    found = await services.webhooks.rotate(caller.account_id, endpoint_id)
    return json_response(_with_secret(found))


@router.delete("/{endpoint_id}", **returns(None, InvalidRequest, status=204))
async def delete_webhook(endpoint_id: str, caller: WebhookWriter, services: Parts) -> Response:
    """Delete an endpoint with its deliveries."""
    await services.webhooks.delete(caller.account_id, endpoint_id)
    return Response(status_code=204)


@router.post("/{endpoint_id}/test", **returns(documents.Delivery, EndpointDisabled, status=202))
async def test_webhook(endpoint_id: str, caller: WebhookWriter, services: Parts) -> Response:
    """Send a `webhook.test` at once; the delivery shows the outcome."""
    found = await services.webhooks.test(caller.account_id, endpoint_id)
    return json_response(_delivery_document(found), 202)


@router.get("/{endpoint_id}/deliveries", **returns(documents.DeliveryList))
async def list_deliveries(
    endpoint_id: str,
    caller: WebhookReader,
    services: Parts,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: DeliveryState | None = None,
) -> Response:
    """Return the deliveries of an endpoint, newest first."""
    found = await services.webhooks.deliveries(
        caller.account_id, endpoint_id, before=cursor, limit=limit + 1, state=state
    )
    shown = [_delivery_document(each) for each in found[:limit]]
    more = shown[-1]["id"] if len(found) > limit else None
    document: documents.DeliveryList = {"data": shown, "next_cursor": more}
    return json_response(document)


@router.get("/{endpoint_id}/deliveries/{delivery_id}", **returns(documents.DeliveryWithLog))
async def get_delivery(
    endpoint_id: str, delivery_id: str, caller: WebhookReader, services: Parts
) -> Response:
    """Return one delivery with its latest tries: request, response and duration."""
    found = await services.webhooks.delivery(caller.account_id, endpoint_id, delivery_id)
    document: documents.DeliveryWithLog = {
        **_delivery_document(found.delivery),
        "log": [_try_document(each) for each in found.tries],
    }
    return json_response(document)


@router.post(
    "/{endpoint_id}/deliveries/{delivery_id}/redeliver",
    **returns(documents.Delivery, EndpointDisabled, status=202),
)
async def redeliver(
    endpoint_id: str, delivery_id: str, caller: WebhookWriter, services: Parts
) -> Response:
    """Redeliver a message under the same id."""
    found = await services.webhooks.redeliver(caller.account_id, endpoint_id, delivery_id)
    return json_response(_delivery_document(found), 202)


@router.post(
    "/{endpoint_id}/redeliver", **returns(documents.Redelivered, EndpointDisabled, status=202)
)
async def redeliver_since(
    endpoint_id: str, body: RedeliverSince, caller: WebhookWriter, services: Parts
) -> Response:
    """Redeliver all failed messages since a time, at most 10,000 per call.

    If there are more, the next call starts at `next_since`.
    """
    count, more = await services.webhooks.redeliver_since(
        caller.account_id, endpoint_id, body.since, delivered_too=body.delivered_too
    )
    document: documents.Redelivered = {"redelivered": count, "next_since": more}
    return json_response(document, 202)


def _document(endpoint: Endpoint) -> documents.Webhook:
    return {
        "id": endpoint.id,
        "url": endpoint.url or None,
        "events": endpoint.events,
        "thin": endpoint.thin,
        "is_default": endpoint.is_default,
        "created_at": endpoint.created_at,
        "old_secret_until": endpoint.old_secret_until,
        "failing_since": endpoint.failing_since,
        "disabled_at": endpoint.disabled_at,
        "disabled_reason": endpoint.disabled_reason or None,
    }


def _with_secret(endpoint: Endpoint) -> documents.WebhookWithSecret:
    return {**_document(endpoint), "secret": endpoint.secret}


def _delivery_document(delivery: Delivery) -> documents.Delivery:
    return {
        "id": delivery.id,
        "event_id": delivery.event_id,
        "type": delivery.event["type"],
        "subject": delivery.event["subject"],
        "url": delivery.url or None,
        "state": delivery.state.value,
        "tries": delivery.tries,
        "status": delivery.status,
        "error": delivery.error or None,
        "answer": delivery.answer or None,
        "next_try_at": None if delivery.finished_at else delivery.due_at,
        "created_at": delivery.created_at,
        "finished_at": delivery.finished_at,
    }


def _try_document(each: Logged) -> documents.DeliveryTry:
    return {
        "number": each.number,
        "at": each.at,
        "took_ms": each.took_ms,
        "status": each.status,
        "error": each.error or None,
        "request": cast("documents.HttpMessage", each.request),
        "answer": cast("documents.HttpMessage | None", each.answer),
    }
