"""Routes for operators: the users of the installation."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from safelight import documents
from safelight.accounts.scopes import Role
from safelight.errors import InvalidRequest, NotFound
from safelight.identity.errors import EmailTaken, LastOne, PasswordUnfit
from safelight.jobs.fields import STRICT, Name
from safelight.web.answers import json_response
from safelight.web.api.jobs import Cursor, Limit
from safelight.web.api.people.fields import AnyEmail, Email, PasswordText
from safelight.web.api.people.views import user_document
from safelight.web.auth import AdminReader, AdminWriter, Parts
from safelight.web.contract import returns
from safelight.web.json_route import JsonRoute

router = APIRouter(route_class=JsonRoute, prefix="/v1/admin/users", tags=["operations"])

_NO_STORE = {"Cache-Control": "no-store"}


class NewUser(BaseModel):
    """Body of `POST /v1/admin/users`."""

    model_config = STRICT

    email: Email
    password: PasswordText | None = Field(
        None, repr=False, description="Null: the answer has a link to choose it."
    )
    operator: bool = Field(False, description="May do everything in the installation.")
    account_id: Name | None = Field(None, description="The first account; null: the caller's.")
    role: Annotated[Role | None, Field(strict=False)] = Field(
        None, description="In that account; null: an operator is `admin`, others `member`."
    )


class UserChange(BaseModel):
    """Body of `PATCH /v1/admin/users/{user_id}`; omitted fields stay."""

    model_config = STRICT

    enabled: bool | None = Field(None, description="False ends all sessions.")
    operator: bool | None = None


@router.post("", **returns(documents.UserWithLink, EmailTaken, NotFound, PasswordUnfit, status=201))
async def create_user(body: NewUser, caller: AdminWriter, services: Parts) -> Response:
    """Create a user, with a password or a link to choose one."""
    made = await services.identity.people.create(
        caller,
        body.email,
        password=body.password,
        is_operator=body.operator,
        account_id=body.account_id or caller.account_id,
        role=body.role or (Role.ADMIN if body.operator else Role.MEMBER),
    )
    document: documents.UserWithLink = {**user_document(made.person), "url": made.url}
    return json_response(document, 201, _NO_STORE)


@router.get("", **returns(documents.UserList))
async def list_users(
    caller: AdminReader,
    services: Parts,
    limit: Limit = 50,
    cursor: Cursor = None,
    email: Annotated[AnyEmail | None, Query(description="Only the user of this address.")] = None,
) -> Response:
    """Return all users, newest first."""
    del caller
    found = await services.identity.people.page(before=cursor, limit=limit + 1, email=email)
    shown = [user_document(each) for each in found[:limit]]
    document: documents.UserList = {
        "data": shown,
        "next_cursor": shown[-1]["id"] if len(found) > limit else None,
    }
    return json_response(document)


@router.patch("/{user_id}", **returns(documents.User, LastOne))
async def change_user(
    user_id: str, body: UserChange, caller: AdminWriter, services: Parts
) -> Response:
    """Disable or enable a user, or make one an operator."""
    if body.enabled is None and body.operator is None:
        raise InvalidRequest("There is nothing to change.")
    changed = await services.identity.people.change(
        caller, user_id, is_enabled=body.enabled, is_operator=body.operator
    )
    return json_response(user_document(changed))


@router.post("/{user_id}/reset-link", **returns(documents.PasswordLink, status=201))
async def make_reset_link(user_id: str, caller: AdminWriter, services: Parts) -> Response:
    """Return a link with which the user chooses a new password: for an operator to hand over."""
    document: documents.PasswordLink = {
        "url": await services.identity.people.reset_link(caller, user_id)
    }
    return json_response(document, 201, _NO_STORE)
