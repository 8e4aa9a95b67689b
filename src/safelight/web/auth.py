"""Authenticates callers: a key or an issuer's token in a header, or a session in a cookie."""

from typing import Annotated

import structlog
from fastapi import Depends, FastAPI, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer, SecurityScopes
from fastapi.security.http import HTTPAuthorizationCredentials

from safelight.accounts.account import Caller, Credential
from safelight.accounts.errors import Unauthenticated
from safelight.accounts.scopes import Scope
from safelight.errors import Forbidden, SafelightError
from safelight.identity.errors import PersonNeeded
from safelight.web.services import Services

COOKIE = "safelight_session"
_MOST_BASES = 64

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="api_key",
    description="`Authorization: Bearer sk_…`, or an access token of a configured issuer.",
)
_cookie = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="session", description="Set by the login link."
)


async def get_services(request: Request) -> Services:
    """Return the services, whose URLs are the public ones, else those that the caller used.

    Async like all dependencies here: FastAPI runs others in threads.
    """
    services: Services = request.app.state.services
    host = request.headers.get("host", "")
    if services.hosts.public_url or not services.hosts.knows(host):
        return services
    return _reached_at(request.app, services, f"{request.url.scheme}://{host}")


def _reached_at(app: FastAPI, services: Services, base: str) -> Services:
    known: dict[str, Services] = app.state.reached_at
    if base not in known:
        if len(known) >= _MOST_BASES:
            known.clear()
        known[base] = services.at(base)
    return known[base]


Parts = Annotated[Services, Depends(get_services)]


async def _caller(
    request: Request,
    services: Parts,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> Caller:
    if bearer is not None:
        caller = await _bearing(request, services, bearer.credentials)
    elif cookie:
        caller = await _session(request, services, cookie)
    else:
        raise Unauthenticated("Send `Authorization: Bearer YOUR_KEY`.")
    structlog.contextvars.bind_contextvars(account_id=caller.account_id, key_id=caller.key_id)
    request.state.account_id = caller.account_id
    services.access.rates.take(caller.key_id, caller.rate_per_s or 0)
    return caller


async def _bearing(request: Request, services: Parts, secret: str) -> Caller:
    if services.access.tokens and not secret.startswith(Credential.KEY):
        return await services.access.tokens(secret)
    return await services.access.authenticator.authenticate(secret, address=address_of(request))


async def _session(
    request: Request, services: Parts, cookie: Annotated[str | None, Depends(_cookie)]
) -> Caller:
    if not cookie:
        raise Unauthenticated("There is no browser session.")
    services.hosts.check(request)
    caller = await services.access.authenticator.authenticate(
        cookie, Credential.SESSION, address=address_of(request)
    )
    if caller.user_id is not None:  # an installation may have stopped letting people in
        services.identity.logins.check_allowed()
    return caller


def address_of(request: Request) -> str:
    """Return the address of the connection: behind a proxy, the proxy's."""
    return request.client.host if request.client else ""


async def _person(caller: Annotated[Caller, Depends(_session)]) -> Caller:
    """Return the caller of a browser session that a person has signed in to."""
    if caller.user_id is None:
        raise PersonNeeded("Sign in with e-mail address and password.")
    return caller


async def _permitted(needed: SecurityScopes, caller: Annotated[Caller, Depends(_caller)]) -> Caller:
    """Return a caller who has the scopes that the route declares."""
    for scope in needed.scopes:
        if scope not in caller.scopes:
            raise Forbidden(f"This needs a credential with the scope `{scope}`.")
    return caller


async def may_look(
    request: Request,
    services: Parts,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> None:
    """Refuse all but admins, unless the process shows its inside to everyone."""
    if not services.health.open_probes:
        caller = await _caller(request, services, bearer, cookie)
        await _permitted(SecurityScopes([Scope.ADMIN_READ]), caller)


async def _sees_details(
    request: Request,
    services: Parts,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> bool:
    """Return whether the caller `may_look`; a probe is never refused."""
    try:
        await may_look(request, services, bearer, cookie)
    except SafelightError:
        return False
    return True


SeesDetails = Annotated[bool, Depends(_sees_details)]
Session = Annotated[Caller, Depends(_session)]
Person = Annotated[Caller, Depends(_person)]
AnyCaller = Annotated[Caller, Security(_permitted)]
JobReader = Annotated[Caller, Security(_permitted, scopes=[Scope.JOBS_READ])]
JobWriter = Annotated[Caller, Security(_permitted, scopes=[Scope.JOBS_WRITE])]
AssetReader = Annotated[Caller, Security(_permitted, scopes=[Scope.ASSETS_READ])]
AssetWriter = Annotated[Caller, Security(_permitted, scopes=[Scope.ASSETS_WRITE])]
WebhookReader = Annotated[Caller, Security(_permitted, scopes=[Scope.WEBHOOKS_READ])]
WebhookWriter = Annotated[Caller, Security(_permitted, scopes=[Scope.WEBHOOKS_WRITE])]
UsageReader = Annotated[Caller, Security(_permitted, scopes=[Scope.USAGE_READ])]
AccountReader = Annotated[Caller, Security(_permitted, scopes=[Scope.ACCOUNT_READ])]
AccountWriter = Annotated[Caller, Security(_permitted, scopes=[Scope.ACCOUNT_WRITE])]
AdminReader = Annotated[Caller, Security(_permitted, scopes=[Scope.ADMIN_READ])]
AdminWriter = Annotated[Caller, Security(_permitted, scopes=[Scope.ADMIN_WRITE])]
