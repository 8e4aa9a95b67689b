"""The cookie of a browser session: only for this site, over HTTPS where there is any."""

from fastapi import Request, Response

from safelight.accounts.sessions import SESSION_LASTS
from safelight.identity.provider_logins import LOGIN_LASTS
from safelight.web.auth import COOKIE
from safelight.web.services import Services

LOGIN_COOKIE = "safelight_login"


def with_session(
    request: Request, services: Services, response: Response, session: str
) -> Response:
    """Return `response` with the session's secret in the cookie."""
    response.set_cookie(
        COOKIE,
        session,
        max_age=int(SESSION_LASTS.total_seconds()),
        path=_path(request, services),
        httponly=True,
        secure=request.url.scheme == "https" or _is_public(request, services, "https:"),
        samesite="strict",
    )
    return response


def without_session(request: Request, services: Services, response: Response) -> Response:
    """Return `response`, which removes the cookie."""
    response.delete_cookie(COOKIE, path=_path(request, services))
    return response


def with_login(
    request: Request, services: Services, response: Response, provider: str, secret: str
) -> Response:
    """Return `response` with the secret of a login at a provider; empty removes it.

    It is lax, because the provider's page leads back here, and goes to that login's routes only.
    """
    response.set_cookie(
        LOGIN_COOKIE,
        secret,
        max_age=int(LOGIN_LASTS.total_seconds()) if secret else 0,
        path=f"{_path(request, services)}auth/oidc/{provider}",
        httponly=True,
        secure=request.url.scheme == "https" or _is_public(request, services, "https:"),
        samesite="lax",
    )
    return response


def _path(request: Request, services: Services) -> str:
    """Return the public URL's path, so that two installations on one host keep apart."""
    return f"{services.hosts.prefix}/" if _is_public(request, services) else "/"


def _is_public(request: Request, services: Services, scheme: str = "") -> bool:
    public = services.hosts.public_url.startswith(scheme or "http")
    return public and services.hosts.is_public(request.headers.get("host", ""))
