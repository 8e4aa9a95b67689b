"""Routes for contacts (mail, SMS, topics), and their pages to confirm and unsubscribe."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from safelight import documents
from safelight.errors import WrongState
from safelight.jobs.fields import STRICT
from safelight.notifications.contact import Channel, Contact
from safelight.notifications.notice import Notice
from safelight.web.answers import json_response
from safelight.web.api.jobs import Cursor, Limit, cursor_after
from safelight.web.api.webhooks import Pattern
from safelight.web.auth import Parts, WebhookReader, WebhookWriter
from safelight.web.contract import returns
from safelight.web.json_route import JsonRoute
from safelight.web.services import Services

router = APIRouter(route_class=JsonRoute, tags=["contacts"])

Patterns = Annotated[
    list[Pattern],
    Field(
        max_length=32,
        description="Event types to notify of; empty notifies only of jobs that name the contact.",
    ),
]
Digest = Annotated[
    bool,
    Field(
        description="Send a daily digest of finished jobs and batches instead of single messages."
    ),
]
_Secret = Annotated[str, Query(max_length=64)]


class NewContact(BaseModel):
    """Body of `POST /v1/contacts`."""

    model_config = STRICT

    channel: Annotated[Channel, Field(strict=False)]
    address: str = Field(max_length=320, description="A mail address, phone number, or topic ARN.")
    events: Patterns | None = Field(
        default=None, description="By default, those usual for its channel."
    )
    digest: Digest = False


class ContactChange(BaseModel):
    """Body of `PATCH /v1/contacts/{id}`; omitted fields stay."""

    model_config = STRICT

    events: Patterns = []
    digest: Digest = False


class ContactCode(BaseModel):
    """Body of `POST /v1/contacts/{id}/confirm`."""

    model_config = STRICT

    code: str = Field(max_length=64, repr=False)


@router.post("/v1/contacts", **returns(documents.Contact, WrongState, status=201))
async def create_contact(body: NewContact, caller: WebhookWriter, services: Parts) -> Response:
    """Add a contact. Nothing is sent before the recipient confirms."""
    made = await services.contacts.create(
        caller.account_id, body.channel, body.address, wanted=body.events, digest=body.digest
    )
    return json_response(_document(made), 201)


@router.get("/v1/contacts", **returns(documents.ContactList))
async def list_contacts(caller: WebhookReader, services: Parts) -> Response:
    """Return your contacts, oldest first."""
    found = await services.contacts.all_of(caller.account_id)
    document: documents.ContactList = {
        "data": [_document(each) for each in found],
        "next_cursor": None,
    }
    return json_response(document)


@router.get("/v1/contacts/{contact_id}", **returns(documents.Contact))
async def get_contact(contact_id: str, caller: WebhookReader, services: Parts) -> Response:
    """Return one contact."""
    return json_response(_document(await services.contacts.get(caller.account_id, contact_id)))


@router.patch("/v1/contacts/{contact_id}", **returns(documents.Contact))
async def change_contact(
    contact_id: str, body: ContactChange, caller: WebhookWriter, services: Parts
) -> Response:
    """Change a contact's event types or digest."""
    values = body.model_dump(exclude_unset=True)
    changed = await services.contacts.change(caller.account_id, contact_id, values)
    return json_response(_document(changed))


@router.delete("/v1/contacts/{contact_id}", **returns(None, status=204))
async def delete_contact(contact_id: str, caller: WebhookWriter, services: Parts) -> Response:
    """Remove a contact."""
    await services.contacts.delete(caller.account_id, contact_id)
    return Response(status_code=204)


@router.post("/v1/contacts/{contact_id}/confirm", **returns(documents.Contact))
async def confirm_contact(
    contact_id: str, body: ContactCode, caller: WebhookWriter, services: Parts
) -> Response:
    """Confirm a contact by the code that was sent to it."""
    found = await services.contacts.confirm(caller.account_id, contact_id, body.code)
    return json_response(_document(found))


@router.post("/v1/contacts/{contact_id}/code", **returns(documents.Contact, WrongState, status=202))
async def send_contact_code(contact_id: str, caller: WebhookWriter, services: Parts) -> Response:
    """Send a new code, at most five times; the previous one expires."""
    found = await services.contacts.send_code(caller.account_id, contact_id)
    return json_response(_document(found), 202)


@router.post("/v1/contacts/{contact_id}/test", **returns(None, WrongState, status=202))
async def test_contact(contact_id: str, caller: WebhookWriter, services: Parts) -> Response:
    """Send a test message; the contact's notices show the outcome."""
    await services.contacts.test(caller.account_id, contact_id)
    return Response(status_code=202)


@router.get("/v1/contacts/{contact_id}/notices", **returns(documents.NoticeList))
async def list_notices(
    contact_id: str,
    caller: WebhookReader,
    services: Parts,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Return the notices of a contact with their outcome, newest first."""
    found = await services.contacts.notices(
        caller.account_id, contact_id, before=cursor, limit=limit + 1
    )
    shown = [_notice_document(each) for each in found[:limit]]
    document: documents.NoticeList = {
        "data": shown,
        "next_cursor": cursor_after(shown, more=len(found) > limit),
    }
    return json_response(document)


# --- pages for recipients; the link is their credential -----------------------------------------


@router.get("/contacts/{contact_id}/confirm", include_in_schema=False)
async def ask_to_confirm(contact_id: str, code: _Secret, services: Parts) -> Response:
    """Ask for a click, because mail scanners follow links but press no buttons."""
    found = await services.contacts.look_by_link(contact_id, code)
    text = f"{found.address} is then told what happens to the jobs of an account here."
    return _page(services, "Do you want to be told?", text, "Yes, tell me")


@router.post("/contacts/{contact_id}/confirm", include_in_schema=False)
async def confirm_by_link(contact_id: str, code: _Secret, services: Parts) -> Response:
    """Confirm the contact."""
    await services.contacts.confirm_by_link(contact_id, code)
    return _page(services, "Thank you", "You will be told. Each mail has a link that ends it.")


@router.get("/contacts/{contact_id}/stop", include_in_schema=False)
async def ask_to_stop(contact_id: str, token: _Secret, services: Parts) -> Response:
    """Ask for a click before unsubscribing."""
    found = await services.contacts.look_to_stop(contact_id, token)
    text = f"Nothing more is then sent to {found.address}."
    return _page(services, "Stop these messages?", text, "Stop them")


@router.post("/contacts/{contact_id}/stop", include_in_schema=False)
async def stop_by_link(contact_id: str, token: _Secret, services: Parts) -> Response:
    """Unsubscribe; mail programs post here for one-click unsubscribe (RFC 8058)."""
    await services.contacts.stop_by_link(contact_id, token)
    return _page(services, "Stopped", "Nothing more is sent to you.")


def _page(services: Services, question: str, text: str, button: str = "") -> Response:
    facts = {
        "question": question,
        "text": text,
        "button": button,
        "base_url": services.links.base_url,
    }
    return HTMLResponse(services.templates.page(facts))


def _document(contact: Contact) -> documents.Contact:
    return {
        "id": contact.id,
        "channel": contact.channel.value,
        "address": contact.address,
        "events": contact.events,
        "digest": contact.digest,
        "created_at": contact.created_at,
        "confirmed_at": contact.confirmed_at,
        "stopped_at": contact.stopped_at,
        "stopped_reason": contact.stopped_reason or None,
    }


def _notice_document(notice: Notice) -> documents.Notice:
    return {
        "id": notice.id,
        "event_id": notice.event_id,
        "type": notice.event["type"],
        "subject": notice.event["subject"],
        "state": notice.state.value,
        "tries": notice.tries,
        "error": notice.error or None,
        "next_try_at": None if notice.finished_at else notice.due_at,
        "created_at": notice.created_at,
        "finished_at": notice.finished_at,
    }
