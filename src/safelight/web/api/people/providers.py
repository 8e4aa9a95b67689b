"""Routes of logins at OpenID Connect providers: the way there, and the way back."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from safelight import documents, ids
from safelight.errors import NotFound, SafelightError
from safelight.identity.issuers import oidc
from safelight.identity.provider_logins import ProviderLogins
from safelight.web.answers import json_response
from safelight.web.auth import COOKIE, Parts, Person
from safelight.web.contract import returns
from safelight.web.cookies import LOGIN_COOKIE, with_login, with_session
from safelight.web.json_route import JsonRoute
from safelight.web.services import Services

router = APIRouter(route_class=JsonRoute, tags=["people"])

ProviderName = Annotated[str, Path(pattern=r"^[a-z0-9_-]{1,32}$")]
Text = Annotated[str, Query(max_length=4_096)]


@router.get("/v1/auth/providers", **returns(documents.LoginProviderList))
async def list_login_providers(services: Parts) -> Response:
    """Return the providers at which people can sign in, and where to send the browser."""
    logins = services.identity.providers
    document: documents.LoginProviderList = {
        "data": [
            {
                "name": name,
                "title": title,
                "url": f"{services.public_url}/auth/oidc/{name}/start",
            }
            for name, title in (logins.titles if logins else {}).items()
        ]
    }
    return json_response(document)


@router.get("/auth/oidc/{provider}/start", include_in_schema=False)
async def start(request: Request, provider: ProviderName, services: Parts) -> Response:
    """Send the browser to a provider, to sign in."""
    services.hosts.check(request)
    return await _away(request, services, provider)


@router.get("/auth/oidc/{provider}/connect", include_in_schema=False)
async def connect(
    request: Request, provider: ProviderName, caller: Person, services: Parts
) -> Response:
    """Send the browser to a provider, to connect an identity to the person who is signed in."""
    return await _away(request, services, provider, user_id=caller.user_id)


@router.get("/auth/oidc/{provider}/callback", include_in_schema=False)
async def callback(
    request: Request,
    provider: ProviderName,
    services: Parts,
    state: Text = "",
    code: Text = "",
    iss: Text = "",
    error: Text = "",
) -> Response:
    """Take a provider's response, and open a session of its person."""
    services.hosts.check(request)
    told = oidc.Response(state, code, iss, error)
    secret = request.cookies.get(LOGIN_COOKIE, "")
    try:
        done = await _logins(services).finish(provider, secret, told, _way_back(services, provider))
    except SafelightError as failure:
        return with_login(request, services, _failed(failure), provider, "")
    await services.access.sessions.end(request.cookies.get(COOKIE, ""))
    response = with_session(request, services, RedirectResponse("../../../", 303), done.session)
    return with_login(request, services, response, provider, "")


async def _away(
    request: Request, services: Services, provider: str, user_id: str | None = None
) -> Response:
    secret = ids.secret(256)
    try:
        url = await _logins(services).start(
            provider, secret, _way_back(services, provider), connect=user_id
        )
    except SafelightError as failure:
        return _failed(failure)
    return with_login(request, services, RedirectResponse(url, 303), provider, secret)


def _logins(services: Services) -> ProviderLogins:
    if services.identity.providers is None:
        raise NotFound("There is no such login provider.")
    return services.identity.providers


def _way_back(services: Services, provider: str) -> str:
    return f"{services.public_url}/auth/oidc/{provider}/callback"


def _failed(error: SafelightError) -> Response:
    # Only the code: a link must not put words into the page.
    return RedirectResponse(f"../../../signin#failed={error.code}", 303)
