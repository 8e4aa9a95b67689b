"""Errors of authentication and of API keys."""

from safelight.errors import Forbidden, RequestError


class Unauthenticated(RequestError):
    """No API key came with the request, or it is unknown, expired or revoked."""

    code = "unauthenticated"
    status = 401
    title = "A valid API key is needed"


class AccountSuspended(Forbidden):
    """The credential's account is suspended; `detail` gives the operator's reason."""

    code = "account_suspended"
    title = "This account is suspended"


class LastOperator(RequestError):
    """No other open account has a valid API key with `admin:write`: make one first."""

    code = "last_operator"
    status = 409
    title = "This is the last account that can run the installation"


class TooManyKeys(RequestError):
    """The account has as many API keys as it may."""

    code = "too_many_keys"
    status = 409
    title = "This account has too many API keys"


class KeyEnded(RequestError):
    """The API key was revoked or has expired: it cannot be rotated."""

    code = "key_ended"
    status = 409
    title = "This API key is no longer valid"


class ScopeNotHeld(Forbidden):
    """A key was to get scopes that its maker does not have."""

    code = "scope_not_held"
    title = "A key cannot grant scopes that it does not have"
