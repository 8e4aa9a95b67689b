"""Routes for the signed-in person: sessions, password, address, two-step login."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from safelight import documents
from safelight.identity.errors import (
    CodeWrong,
    MailMissing,
    PasswordUnfit,
    PasswordWrong,
    PersonNeeded,
    TooManyAttempts,
    TotpState,
)
from safelight.jobs.fields import STRICT
from safelight.web.answers import json_response
from safelight.web.api.people.fields import Code, Email, Password
from safelight.web.api.people.views import user_document
from safelight.web.auth import Parts, Person, address_of
from safelight.web.contract import returns
from safelight.web.json_route import JsonRoute

router = APIRouter(route_class=JsonRoute, prefix="/v1/auth", tags=["people"])

_NO_STORE = {"Cache-Control": "no-store"}


class PasswordChange(BaseModel):
    """Body of `POST /v1/auth/password`."""

    model_config = STRICT

    current_password: Password
    new_password: Password


class EmailChange(BaseModel):
    """Body of `POST /v1/auth/email`."""

    model_config = STRICT

    current_password: Password
    email: Email


class Confirmed(BaseModel):
    """Body of requests that the current password confirms."""

    model_config = STRICT

    current_password: Password


class FirstCode(BaseModel):
    """Body of `POST /v1/auth/totp/confirm`."""

    model_config = STRICT

    code: Code


@router.get("/me", **returns(documents.Myself, PersonNeeded))
async def get_myself(caller: Person, services: Parts) -> Response:
    """Return the signed-in person with all accounts."""
    person = await services.identity.people.me(caller)
    document: documents.Myself = {
        **user_document(person),
        "account_id": caller.account_id,
        "recovery_codes_left": await services.identity.second_step.codes_left(person.user),
    }
    return json_response(document)


@router.get("/sessions", **returns(documents.BrowserSessionList, PersonNeeded))
async def list_sessions(caller: Person, services: Parts) -> Response:
    """Return the open browser sessions of the signed-in person, newest first."""
    document: documents.BrowserSessionList = {
        "data": [
            {
                "id": each.id,
                "account_id": each.account_id,
                "current": each.id == caller.key_id,
                "created_at": each.created_at,
                "expires_at": each.expires_at,
                "last_used_at": each.last_used_at,
                "last_used_from": each.last_used_from or None,
            }
            for each in await services.identity.logins.sessions(caller)
        ],
        "next_cursor": None,
    }
    return json_response(document)


@router.delete("/sessions", **returns(None, PersonNeeded, status=204))
async def revoke_other_sessions(caller: Person, services: Parts) -> Response:
    """End all sessions of the signed-in person but this one."""
    await services.identity.logins.revoke_others(caller)
    return Response(status_code=204)


@router.delete("/sessions/{session_id}", **returns(None, PersonNeeded, status=204))
async def revoke_session(session_id: str, caller: Person, services: Parts) -> Response:
    """End a session of the signed-in person."""
    await services.identity.logins.revoke(caller, session_id)
    return Response(status_code=204)


@router.post(
    "/password",
    **returns(None, PersonNeeded, PasswordWrong, PasswordUnfit, TooManyAttempts, status=204),
)
async def change_password(
    request: Request, body: PasswordChange, caller: Person, services: Parts
) -> Response:
    """Change the password; all other sessions end, and a mail tells."""
    await services.identity.people.change_password(
        caller, body.current_password, body.new_password, address=address_of(request)
    )
    return Response(status_code=204)


@router.post(
    "/email",
    **returns(None, PersonNeeded, PasswordWrong, TooManyAttempts, MailMissing, status=202),
)
async def change_email(
    request: Request, body: EmailChange, caller: Person, services: Parts
) -> Response:
    """Mail a link that confirms an e-mail address: the present one, or another to change to."""
    await services.identity.people.ask_to_confirm_email(
        caller, body.current_password, body.email, address=address_of(request)
    )
    return Response(status_code=202)


@router.post(
    "/totp",
    **returns(documents.TotpSetup, PersonNeeded, PasswordWrong, TooManyAttempts, TotpState),
)
async def begin_totp(
    request: Request, body: Confirmed, caller: Person, services: Parts
) -> Response:
    """Return a secret for an authenticator app; two-step login is on once a code confirms it."""
    made = await services.identity.second_step.begin(
        caller, body.current_password, address=address_of(request)
    )
    document: documents.TotpSetup = {"secret": made.secret, "address": made.address}
    return json_response(document, headers=_NO_STORE)


@router.post(
    "/totp/confirm",
    **returns(documents.RecoveryCodes, PersonNeeded, CodeWrong, TooManyAttempts, TotpState),
)
async def confirm_totp(body: FirstCode, caller: Person, services: Parts) -> Response:
    """Turn two-step login on by the app's first code. The recovery codes are shown only here."""
    codes = await services.identity.second_step.confirm(caller, body.code)
    document: documents.RecoveryCodes = {"codes": codes}
    return json_response(document, headers=_NO_STORE)


@router.post(
    "/totp/recovery-codes",
    **returns(documents.RecoveryCodes, PersonNeeded, PasswordWrong, TooManyAttempts, TotpState),
)
async def renew_recovery_codes(
    request: Request, body: Confirmed, caller: Person, services: Parts
) -> Response:
    """Replace the recovery codes."""
    codes = await services.identity.second_step.renew_codes(
        caller, body.current_password, address=address_of(request)
    )
    document: documents.RecoveryCodes = {"codes": codes}
    return json_response(document, headers=_NO_STORE)


@router.post(
    "/totp/disable", **returns(None, PersonNeeded, PasswordWrong, TooManyAttempts, status=204)
)
async def disable_totp(
    request: Request, body: Confirmed, caller: Person, services: Parts
) -> Response:
    """Turn two-step login off, and remove the recovery codes."""
    await services.identity.second_step.end(
        caller, body.current_password, address=address_of(request)
    )
    return Response(status_code=204)
