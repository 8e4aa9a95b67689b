"""Authenticates callers: an API key in a header, or a browser session in a cookie."""

from typing import Annotated

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.security import APIKeyCookie, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from safelight.accounts.account import Caller, Credential, Scope
from safelight.accounts.errors import Unauthenticated
from safelight.errors import Forbidden, SafelightError
from safelight.web.services import Services

COOKIE = "safelight_session"
_MOST_BASES = 64

_bearer = HTTPBearer(
    auto_error=False, scheme_name="api_key", description="`Authorization: Bearer sk_…`"
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
        caller = await services.accounts.authenticate(bearer.credentials)
    elif cookie:
        caller = await _session(request, services, cookie)
    else:
        raise Unauthenticated("Send `Authorization: Bearer YOUR_KEY`.")
    structlog.contextvars.bind_contextvars(account_id=caller.account_id, key_id=caller.key_id)
    request.state.account_id = caller.account_id
    return caller


async def _session(
    request: Request, services: Parts, cookie: Annotated[str | None, Depends(_cookie)]
) -> Caller:
    if not cookie:
        raise Unauthenticated("There is no browser session.")
    services.hosts.check(request)
    return await services.accounts.authenticate(cookie, Credential.SESSION)


class _Needs:
    """A dependency that requires a scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(self, caller: Annotated[Caller, Depends(_caller)]) -> Caller:
        if self._scope not in caller.scopes:
            raise Forbidden(f"This needs an API key with the scope `{self._scope.value}`.")
        return caller


async def may_look(
    request: Request,
    services: Parts,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    cookie: Annotated[str | None, Depends(_cookie)],
) -> None:
    """Refuse all but admins, unless the process shows its inside to everyone."""
    if not services.health.open_probes:
        await _Needs(Scope.ADMIN)(await _caller(request, services, bearer, cookie))


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
Reader = Annotated[Caller, Depends(_Needs(Scope.READ))]
Writer = Annotated[Caller, Depends(_Needs(Scope.WRITE))]
Admin = Annotated[Caller, Depends(_Needs(Scope.ADMIN))]
