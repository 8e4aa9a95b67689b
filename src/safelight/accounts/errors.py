"""Errors of authentication."""

from safelight.errors import RequestError


class Unauthenticated(RequestError):
    """No API key came with the request, or it is unknown, expired or revoked."""

    code = "unauthenticated"
    status = 401
    title = "A valid API key is needed"
