"""Requests that HTTP refuses before they reach a service."""

from safelight.errors import Remedy, RequestError


class MethodNotAllowed(RequestError):
    """The route exists, but not with this method."""

    code = "method_not_allowed"
    status = 405
    title = "That method is not allowed here"


class Misdirected(RequestError):
    """The Host header is no known name of this server."""

    code = "misdirected"
    status = 421
    title = "This server does not answer for that host"


class KeyInUrl(RequestError):
    """An API key or session came in the URL, which proxies log: send a header, and replace it."""

    code = "key_in_url"
    status = 400
    title = "A key must not be in the URL"


class TooLarge(RequestError):
    """The body or one of its files is larger than the limit."""

    code = "too_large"
    status = 413
    title = "The request is too large"


class TooManyFiles(RequestError):
    """The batch has too many files."""

    code = "too_many_files"
    status = 422
    title = "Too many files"


class RangeNotSatisfiable(RequestError):
    """The requested byte range lies outside the file."""

    code = "range_not_satisfiable"
    status = 416
    title = "The range is outside the file"


class TooManyRequests(RequestError):
    """The rate limit of a file or an API key is exceeded; `retry_after` is when to retry."""

    code = "too_many_requests"
    status = 429
    title = "Rate limit exceeded"
    remedy = Remedy.WAIT
