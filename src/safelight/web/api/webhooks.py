"""Webhook endpoints: where an account wants to be told, and what was sent there."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from safelight.delivery.endpoint import DEFAULT_EVENTS, Delivery, Endpoint
from safelight.web.answers import json_response
from safelight.web.auth import Parts, Reader, Writer

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

Pattern = Annotated[str, Field(min_length=1, max_length=64)]


class NewEndpoint(BaseModel):
    """Body of `POST /v1/webhooks`."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=2048, description="Where messages are posted to.")
    events: list[Pattern] = Field(
        default=list(DEFAULT_EVENTS),
        min_length=1,
        max_length=32,
        description="Event types; `job.*` is all that begin so, `*` is all.",
    )


@router.post("", status_code=201)
async def create(body: NewEndpoint, caller: Writer, services: Parts) -> Response:
    """Make an endpoint. Its `secret`, which signs what is sent, is shown only here."""
    services.check_url(body.url)
    made = await services.webhooks.create(caller.account_id, url=body.url, wanted=body.events)
    return json_response(_document(made) | {"secret": made.secret}, 201)


@router.get("")
async def list_endpoints(caller: Reader, services: Parts) -> Response:
    """Return your endpoints, oldest first."""
    found = await services.webhooks.all_of(caller.account_id)
    return json_response({"data": [_document(each) for each in found], "next_cursor": None})


@router.get("/{endpoint_id}")
async def get_endpoint(endpoint_id: str, caller: Reader, services: Parts) -> Response:
    """Return one endpoint."""
    return json_response(_document(await services.webhooks.get(caller.account_id, endpoint_id)))


@router.delete("/{endpoint_id}", status_code=204)
async def delete(endpoint_id: str, caller: Writer, services: Parts) -> Response:
    """Remove an endpoint with its deliveries."""
    await services.webhooks.delete(caller.account_id, endpoint_id)
    return Response(status_code=204)


@router.get("/{endpoint_id}/deliveries")
async def list_deliveries(
    endpoint_id: str,
    caller: Reader,
    services: Parts,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Return what was sent to an endpoint, and how that went, newest first."""
    found = await services.webhooks.deliveries(
        caller.account_id, endpoint_id, before=cursor, limit=limit + 1
    )
    shown = [_delivery_document(each) for each in found[:limit]]
    more = shown[-1]["id"] if len(found) > limit else None
    return json_response({"data": shown, "next_cursor": more})


@router.post("/{endpoint_id}/deliveries/{delivery_id}/redeliver", status_code=202)
async def redeliver(
    endpoint_id: str, delivery_id: str, caller: Writer, services: Parts
) -> Response:
    """Send a message again, under the same id."""
    found = await services.webhooks.redeliver(caller.account_id, endpoint_id, delivery_id)
    return json_response(_delivery_document(found), 202)


def _document(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": endpoint.events,
        "created_at": endpoint.created_at,
        "disabled_at": endpoint.disabled_at,
    }


def _delivery_document(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "event_id": delivery.event_id,
        "type": delivery.event["type"],
        "subject": delivery.event["subject"],
        "state": delivery.state.value,
        "tries": delivery.tries,
        "status": delivery.status,
        "error": delivery.error or None,
        "answer": delivery.answer or None,
        "next_try_at": None if delivery.finished_at else delivery.due_at,
        "created_at": delivery.created_at,
        "finished_at": delivery.finished_at,
    }
