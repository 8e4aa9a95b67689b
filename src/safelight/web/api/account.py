"""Routes for the caller, the browser session, and the models."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from safelight import documents
from safelight.accounts.account import MAX_KEY_LENGTH, Account, Caller, Visibility
from safelight.accounts.errors import AccountSuspended, Unauthenticated
from safelight.accounts.sessions import LOGIN_LINK_LASTS
from safelight.errors import Forbidden, InvalidRequest
from safelight.jobs.fields import STRICT
from safelight.providers.provider import Kind, Model
from safelight.web.answers import conditional_response, json_response
from safelight.web.auth import AccountWriter, AnyCaller, AssetWriter, Parts, Session
from safelight.web.contract import returns
from safelight.web.cookies import with_session, without_session
from safelight.web.json_route import JsonRoute

router = APIRouter(route_class=JsonRoute, tags=["account"])

Kept = Annotated[float | None, Field(ge=60, le=10 * 366 * 86_400)]


class SignIn(BaseModel):
    """Body of `POST /v1/session`."""

    model_config = STRICT

    key: str = Field(min_length=1, max_length=MAX_KEY_LENGTH, repr=False, description="An API key.")


class AccountChange(BaseModel):
    """Body of `PATCH /v1/account`; omitted fields stay; null means the installation's default."""

    model_config = STRICT

    visibility: Visibility = Field(
        Visibility.PUBLIC,
        strict=False,
        description="Default for outputs and uploads that do not specify one.",
    )
    keep_image_s: Kept = Field(
        None, description="Retention of pictures made by its jobs, in seconds."
    )
    keep_model_3d_s: Kept = Field(
        None, description="Retention of 3D models made by its jobs, in seconds."
    )


@router.get("/login", include_in_schema=False)
async def login(request: Request, services: Parts, token: str = "") -> Response:
    """Open the web page by a login link, which works once."""
    services.hosts.check(request)
    try:
        session = await services.access.sessions.redeem(token)
    except Unauthenticated:
        return RedirectResponse("./?login=expired", 303)
    return with_session(request, services, RedirectResponse("./", 303), session)


@router.post("/v1/login-links", **returns(documents.LoginLink, status=201))
async def make_login_link(caller: AccountWriter, services: Parts) -> Response:
    """Return a link that signs a browser in once, within a day, with the scopes of this key.

    The session ends with the key.
    """
    if caller.expires_at is not None:
        raise Forbidden("A token opens no session, which would outlast it. Use an API key.")
    token = await services.access.sessions.login_token(
        caller.account_id, caller.scopes, root_id=caller.root_id, user_id=caller.user_id
    )
    document: documents.LoginLink = {
        "url": f"{services.public_url}/login?token={token}",
        "expires_at": datetime.now(UTC) + LOGIN_LINK_LASTS,
    }
    return json_response(document, 201, {"Cache-Control": "no-store"})


@router.post(
    "/v1/session", **returns(None, Unauthenticated, AccountSuspended, Forbidden, status=204)
)
async def sign_in(request: Request, body: SignIn, services: Parts) -> Response:
    """Exchange an API key for a session cookie, for use in a browser."""
    services.hosts.check(request)
    session = await services.access.sessions.open(body.key)
    return with_session(request, services, Response(status_code=204), session)


@router.delete("/v1/session", **returns(None, status=204))
async def sign_out(request: Request, caller: Session, services: Parts) -> Response:
    """End the browser session of the cookie, whatever API key comes with it."""
    await services.access.sessions.close(caller.key_id)
    return without_session(request, services, Response(status_code=204))


@router.get("/v1/account", **returns(documents.Account))
async def get_account(caller: AnyCaller, services: Parts) -> Response:
    """Return the account of the key."""
    return _account(await services.accounts.get(caller.account_id), caller)


@router.patch("/v1/account", **returns(documents.Account))
async def change_account(body: AccountChange, caller: AccountWriter, services: Parts) -> Response:
    """Change the account's defaults; existing assets keep their settings."""
    values = body.model_dump(exclude_unset=True)
    if not values:
        raise InvalidRequest("There is nothing to change.")
    changed = await services.accounts.change(caller.account_id, values, actor=caller.key_id)
    return _account(changed, caller)


def _account(account: Account, caller: Caller) -> Response:
    document: documents.Account = {
        "id": account.id,
        "name": account.name,
        "scopes": sorted(scope.value for scope in caller.scopes),
        "visibility": account.visibility.value,
        "keep_image_s": account.keep_image_s,
        "keep_model_3d_s": account.keep_model_3d_s,
        "held": bool(account.hold),
        "created_at": account.created_at,
    }
    return json_response(document)


@router.get("/v1/account/signing-key", **returns(documents.SigningKey))
async def get_signing_key(caller: AssetWriter, services: Parts) -> Response:
    """Return the key that signs URLs of on-the-fly pictures; keep it on your servers."""
    key = await services.files.signatures.key_of(caller.account_id)
    document: documents.SigningKey = {"signing_key": key}
    return json_response(document, headers={"Cache-Control": "no-store"})


@router.get("/v1/models", **returns(documents.ModelList, conditional=True))
async def list_models(
    request: Request, caller: AnyCaller, services: Parts, kind: Kind | None = None
) -> Response:
    """Return the available models, with their params and prices.

    A model is `degraded` while its provider's circuit breaker is open: its jobs wait.
    """
    unwell = {each.provider for each in await services.operations.unwell()}
    shown = [
        _model_document(model, degraded=model.provider in unwell)
        for model in services.registry.models(caller.account_id)
        if kind is None or kind in model.kinds
    ]
    document: documents.ModelList = {
        "data": shown,
        "aliases": services.registry.aliases(caller.account_id),
        "currency": services.currency,
        "next_cursor": None,
    }
    return conditional_response(request, document)


def _model_document(model: Model, *, degraded: bool) -> documents.Model:
    return {
        "id": model.id,
        "provider": model.provider,
        "title": model.title,
        "description": model.description,
        "kinds": sorted(kind.value for kind in model.kinds),
        "lane": model.lane.value,
        "params_schema": dict(model.params_schema),
        "max_inputs": model.max_inputs,
        "timeout_s": model.timeout.total_seconds(),
        "roles": sorted(role.value for role in model.roles),
        "price_micros": model.usual_micros,
        "price": cast("documents.ModelPrice", asdict(model.price)) if model.price else None,
        "degraded": degraded,
    }
