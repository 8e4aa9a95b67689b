"""Routes by which operators open, list, limit, suspend, resume and delete accounts."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from safelight import documents
from safelight.accounts.account import Account
from safelight.accounts.errors import LastOperator
from safelight.assets.errors import OnHold
from safelight.doorbell import doorbell
from safelight.errors import InvalidRequest
from safelight.jobs.fields import STRICT, Label, Name
from safelight.providers.provider import Lane
from safelight.web.answers import json_response
from safelight.web.api.jobs import Cursor, Limit, cursor_after
from safelight.web.api.keys import NO_STORE, with_secret
from safelight.web.auth import AdminReader, AdminWriter, Parts
from safelight.web.contract import returns
from safelight.web.json_route import JsonRoute

router = APIRouter(route_class=JsonRoute, prefix="/v1/admin/accounts", tags=["operations"])

_MOST_IN_FLIGHT = 1_000_000


class NewAccount(BaseModel):
    """Body of `POST /v1/admin/accounts`."""

    model_config = STRICT

    name: Label = Field(description="Whose it is.")
    max_in_flight: int | None = Field(
        None,
        ge=0,
        le=_MOST_IN_FLIGHT,
        description="Concurrent jobs; null is the default from the settings.",
    )


class AccountLimitsChange(BaseModel):
    """Body of `PATCH /v1/admin/accounts/{id}`; omitted fields stay."""

    model_config = STRICT

    max_in_flight: int | None = Field(
        None,
        ge=0,
        le=_MOST_IN_FLIGHT,
        description="Concurrent jobs; null is the default from the settings.",
    )
    hold: str = Field(
        "",
        max_length=500,
        description="Reason for a legal hold on everything it has; empty lifts the hold.",
    )


class Suspension(BaseModel):
    """Body of `POST /v1/admin/accounts/{id}/suspend`."""

    model_config = STRICT

    reason: Label = Field(description="What the account's callers read.", examples=["unpaid"])


@router.post("", **returns(documents.OpenedAccount, status=201))
async def create_account(body: NewAccount, caller: AdminWriter, services: Parts) -> Response:
    """Create an account with its first API key, which may do everything in it.

    The key is returned only once.
    """
    opened = await services.access.lifecycle.open(
        body.name, max_in_flight=body.max_in_flight, by=caller
    )
    document: documents.OpenedAccount = {
        "account": _document(opened.account),
        "key": with_secret(opened.issued),
    }
    return json_response(document, 201, NO_STORE)


@router.get("", **returns(documents.ManagedAccountList))
async def list_accounts(
    caller: AdminReader, services: Parts, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return the accounts of the installation, newest first."""
    found = await services.access.lifecycle.page(before=cursor, limit=limit + 1)
    shown = [_document(each) for each in found[:limit]]
    document: documents.ManagedAccountList = {
        "data": shown,
        "next_cursor": cursor_after(shown, more=len(found) > limit),
    }
    return json_response(document)


@router.get("/{account_id}", **returns(documents.ManagedAccount))
async def get_managed_account(account_id: Name, caller: AdminReader, services: Parts) -> Response:
    """Return one account."""
    return json_response(_document(await services.accounts.get(account_id)))


@router.patch("/{account_id}", **returns(documents.ManagedAccount))
async def change_account_limits(
    account_id: Name, body: AccountLimitsChange, caller: AdminWriter, services: Parts
) -> Response:
    """Set an account's limit of jobs in flight, or its legal hold."""
    values = body.model_dump(exclude_unset=True)
    if not values:
        raise InvalidRequest("There is nothing to change.")
    changed = await services.accounts.change(account_id, values, actor=caller.key_id)
    return json_response(_document(changed))


@router.post("/{account_id}/suspend", **returns(documents.ManagedAccount, LastOperator))
async def suspend_account(
    account_id: Name, body: Suspension, caller: AdminWriter, services: Parts
) -> Response:
    """Suspend an account: its credentials, streams and signed URLs are refused with the reason.

    Its running jobs end normally; queued ones wait until it is resumed. Again: change the reason.
    """
    changed = await services.access.lifecycle.suspend(account_id, body.reason, by=caller)
    services.access.closed.forget()
    return json_response(_document(changed))


@router.post("/{account_id}/resume", **returns(documents.ManagedAccount))
async def resume_account(account_id: Name, caller: AdminWriter, services: Parts) -> Response:
    """Resume a suspended account."""
    changed = await services.access.lifecycle.resume(account_id, by=caller)
    services.access.closed.forget()
    services.bell.ring(*(doorbell.lane(lane.value) for lane in Lane))
    return json_response(_document(changed))


@router.delete("/{account_id}", **returns(None, LastOperator, OnHold, status=204))
async def delete_account(account_id: Name, caller: AdminWriter, services: Parts) -> Response:
    """Delete an account: its access ends now, its jobs are canceled, its files go within the day.

    It cannot be restored.
    """
    await services.access.lifecycle.delete(account_id, by=caller)
    services.access.closed.forget()
    return Response(status_code=204)


def _document(account: Account) -> documents.ManagedAccount:
    return {
        "id": account.id,
        "name": account.name,
        "max_in_flight": account.max_in_flight,
        "hold": account.hold,
        "suspended_at": account.suspended_at,
        "suspended_for": account.suspended_for,
        "created_at": account.created_at,
    }
