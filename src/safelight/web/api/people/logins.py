"""Routes that let people in: login, second step, forgotten passwords, links from mails."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from safelight import documents
from safelight.errors import Forbidden
from safelight.identity.errors import (
    CodeWrong,
    EmailTaken,
    LoginFailed,
    LoginOff,
    MailMissing,
    NoAccount,
    PasswordUnfit,
    TokenInvalid,
    TooManyAttempts,
)
from safelight.identity.logins import HalfSignedIn, SignedIn
from safelight.jobs.fields import STRICT, Name
from safelight.web.answers import json_response
from safelight.web.api.people.fields import AnyEmail, Code, Password, Token
from safelight.web.api.people.views import accounts_of
from safelight.web.auth import COOKIE, Parts, Person, address_of
from safelight.web.contract import returns
from safelight.web.cookies import with_session
from safelight.web.json_route import JsonRoute
from safelight.web.services import Services

router = APIRouter(route_class=JsonRoute, prefix="/v1/auth", tags=["people"])

_NO_STORE = {"Cache-Control": "no-store"}


class Login(BaseModel):
    """Body of `POST /v1/auth/login`."""

    model_config = STRICT

    email: AnyEmail
    password: Password
    account_id: Name | None = Field(None, description="Null: the account joined first.")


class SecondStep(BaseModel):
    """Body of `POST /v1/auth/login/second-step`."""

    model_config = STRICT

    token: str = Field(max_length=100, repr=False, description="Of the first step.")
    code: Code


class Switch(BaseModel):
    """Body of `POST /v1/auth/switch`."""

    model_config = STRICT

    account_id: Name


class Forgotten(BaseModel):
    """Body of `POST /v1/auth/forgotten`."""

    model_config = STRICT

    email: AnyEmail


class Reset(BaseModel):
    """Body of `POST /v1/auth/reset`."""

    model_config = STRICT

    token: Token
    password: Password


class Confirm(BaseModel):
    """Body of `POST /v1/auth/email/confirm`."""

    model_config = STRICT

    token: Token


@router.post(
    "/login",
    **returns(documents.SignedIn, LoginFailed, TooManyAttempts, NoAccount, LoginOff),
)
async def log_in(request: Request, body: Login, services: Parts) -> Response:
    """Sign in with e-mail address and password; the session is in a cookie.

    With two-step login the answer is a token for the second step instead, good for 5 minutes.
    """
    services.hosts.check(request)
    done = await services.identity.logins.by_password(
        body.email, body.password, address=address_of(request), account_id=body.account_id
    )
    if isinstance(done, HalfSignedIn):
        document: documents.SignedIn = {
            "status": "second_step",
            "account_id": None,
            "accounts": [],
            "token": done.token,
        }
        return json_response(document, headers=_NO_STORE)
    return await enter(request, services, done)


@router.post(
    "/login/second-step",
    **returns(documents.SignedIn, CodeWrong, TooManyAttempts, NoAccount, LoginOff),
)
async def log_in_second_step(request: Request, body: SecondStep, services: Parts) -> Response:
    """Finish a login by a code; each code works once."""
    services.hosts.check(request)
    done = await services.identity.logins.by_code(body.token, body.code)
    return await enter(request, services, done)


@router.post("/switch", **returns(documents.SignedIn, NoAccount))
async def switch_account(
    request: Request, body: Switch, caller: Person, services: Parts
) -> Response:
    """Go on in another account of the signed-in person, with a new session."""
    done = await services.identity.logins.switch(caller, body.account_id)
    return await enter(request, services, done)


@router.post("/forgotten", **returns(None, MailMissing, TooManyAttempts, LoginOff, status=202))
async def forgot_password(request: Request, body: Forgotten, services: Parts) -> Response:
    """Mail a link to choose a new password, if the address has a user; the answer does not tell."""
    services.hosts.check(request)
    services.identity.logins.check_allowed()
    await services.identity.people.forgot(body.email, address=address_of(request))
    return Response(status_code=202)


@router.post("/reset", **returns(None, TokenInvalid, PasswordUnfit, Forbidden, status=204))
async def reset_password(request: Request, body: Reset, services: Parts) -> Response:
    """Set a new password by a link's token; all sessions of the user end."""
    services.hosts.check(request)
    await services.identity.people.reset(body.token, body.password)
    return Response(status_code=204)


@router.post("/email/confirm", **returns(None, TokenInvalid, EmailTaken, Forbidden, status=204))
async def confirm_email(request: Request, body: Confirm, services: Parts) -> Response:
    """Confirm an e-mail address by the token of the mail that went there."""
    services.hosts.check(request)
    await services.identity.people.confirm_email(body.token)
    return Response(status_code=204)


async def enter(request: Request, services: Services, done: SignedIn) -> Response:
    """Return the answer to a finished login; the session that the browser had ends."""
    await services.access.sessions.end(request.cookies.get(COOKIE, ""))
    document: documents.SignedIn = {
        "status": "signed_in",
        "account_id": done.account_id,
        "accounts": accounts_of(done.memberships),
        "token": None,
    }
    response = json_response(document, headers=_NO_STORE)
    return with_session(request, services, response, done.session)
