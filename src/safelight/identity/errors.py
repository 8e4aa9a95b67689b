"""Errors of issuers and of their tokens."""

from safelight.errors import ServiceError, SettingInvalid


class IssuerUnavailable(ServiceError):
    """The keys of a token's issuer cannot be fetched; `retry_after` is when to try again."""

    code = "issuer_unavailable"
    title = "The issuer of this token cannot be reached"


class IssuersInvalid(SettingInvalid):
    """The file of issuers is unreadable or invalid; the server does not start with it."""

    code = "issuers_invalid"
    title = "The file of issuers is invalid"
