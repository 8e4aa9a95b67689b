"""Routes for the members of an account and its invitations."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from safelight import documents
from safelight.accounts.errors import ScopeNotHeld
from safelight.accounts.scopes import Role
from safelight.errors import Forbidden
from safelight.identity.errors import (
    AlreadyMember,
    EmailTaken,
    LastOne,
    LoginOff,
    PasswordUnfit,
    TokenInvalid,
    TooManyAttempts,
    TooManyInvitations,
)
from safelight.jobs.fields import STRICT
from safelight.web.answers import json_response
from safelight.web.api.jobs import Cursor, Limit
from safelight.web.api.people.fields import Email, Password, RoleField, Token
from safelight.web.api.people.logins import enter
from safelight.web.api.people.views import invitation_document, member_document
from safelight.web.auth import AccountReader, AccountWriter, Parts, Person
from safelight.web.contract import returns
from safelight.web.json_route import JsonRoute

router = APIRouter(route_class=JsonRoute, prefix="/v1", tags=["people"])


class RoleChange(BaseModel):
    """Body of `PATCH /v1/members/{user_id}`."""

    model_config = STRICT

    role: RoleField


class NewInvitation(BaseModel):
    """Body of `POST /v1/invitations`."""

    model_config = STRICT

    email: Email
    role: RoleField = Role.MEMBER


class Look(BaseModel):
    """Body of `POST /v1/invitations/look` and `…/join`."""

    model_config = STRICT

    token: Token


class Accept(BaseModel):
    """Body of `POST /v1/invitations/accept`."""

    model_config = STRICT

    token: Token
    password: Password = Field(description="Of the new user.")


@router.get("/members", **returns(documents.MemberList))
async def list_members(
    caller: AccountReader, services: Parts, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return the members of the account, newest user first."""
    found = await services.identity.members.page(caller.account_id, before=cursor, limit=limit + 1)
    shown = [member_document(each) for each in found[:limit]]
    document: documents.MemberList = {
        "data": shown,
        "next_cursor": shown[-1]["user_id"] if len(found) > limit else None,
    }
    return json_response(document)


@router.patch("/members/{user_id}", **returns(documents.Member, LastOne, ScopeNotHeld))
async def change_member(
    user_id: str, body: RoleChange, caller: AccountWriter, services: Parts
) -> Response:
    """Give a member another role; it applies at once here and within a second elsewhere."""
    changed = await services.identity.members.change(caller, user_id, body.role)
    return json_response(member_document(changed))


@router.delete("/members/{user_id}", **returns(None, LastOne, ScopeNotHeld, status=204))
async def remove_member(user_id: str, caller: AccountWriter, services: Parts) -> Response:
    """Remove a member from the account; the sessions in it end."""
    await services.identity.members.remove(caller, user_id)
    return Response(status_code=204)


@router.post(
    "/invitations",
    **returns(
        documents.InvitationWithLink,
        AlreadyMember,
        ScopeNotHeld,
        TooManyInvitations,
        TooManyAttempts,
        status=201,
    ),
)
async def create_invitation(
    body: NewInvitation, caller: AccountWriter, services: Parts
) -> Response:
    """Invite somebody to the account: by mail, or by a link where no mail is sent.

    At most five mails an hour go to one mailbox, `+tags` or not.
    """
    made = await services.identity.members.invite(caller, body.email, body.role)
    document: documents.InvitationWithLink = {
        **invitation_document(made.invitation),
        "url": made.url,
    }
    return json_response(document, 201, {"Cache-Control": "no-store"})


@router.get("/invitations", **returns(documents.InvitationList))
async def list_invitations(
    caller: AccountReader, services: Parts, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Return the account's invitations, newest first; ended ones for 30 days."""
    found = await services.identity.members.invitations(
        caller.account_id, before=cursor, limit=limit + 1
    )
    shown = [invitation_document(each) for each in found[:limit]]
    document: documents.InvitationList = {
        "data": shown,
        "next_cursor": shown[-1]["id"] if len(found) > limit else None,
    }
    return json_response(document)


@router.delete("/invitations/{invitation_id}", **returns(None, status=204))
async def revoke_invitation(invitation_id: str, caller: AccountWriter, services: Parts) -> Response:
    """Revoke an invitation."""
    await services.identity.members.revoke(caller, invitation_id)
    return Response(status_code=204)


@router.post("/invitations/look", **returns(documents.Welcome, TokenInvalid, Forbidden))
async def look_at_invitation(request: Request, body: Look, services: Parts) -> Response:
    """Return what an invitation's token shows, and change nothing."""
    services.hosts.check(request)
    found = await services.identity.members.look(body.token)
    document: documents.Welcome = {
        "account": found.account_name,
        "email": found.invitation.email,
        "role": found.invitation.role.value,
        "has_user": found.has_user,
    }
    return json_response(document)


@router.post(
    "/invitations/accept",
    **returns(documents.SignedIn, TokenInvalid, EmailTaken, PasswordUnfit, LoginOff),
)
async def accept_invitation(request: Request, body: Accept, services: Parts) -> Response:
    """Accept an invitation as a new user, who is then signed in."""
    services.hosts.check(request)
    services.identity.logins.check_allowed()
    user, account_id = await services.identity.members.accept_as_new(body.token, body.password)
    return await enter(request, services, await services.identity.logins.enter(user, account_id))


@router.post("/invitations/join", **returns(documents.SignedIn, TokenInvalid))
async def join_account(request: Request, body: Look, caller: Person, services: Parts) -> Response:
    """Accept an invitation as the signed-in person, who goes on in that account."""
    user = await services.identity.people.of(caller)
    account_id = await services.identity.members.accept(body.token, user)
    return await enter(request, services, await services.identity.logins.enter(user, account_id))
