"""Errors of downloads and outgoing requests."""

from safelight.errors import Remedy, SafelightError


class FetchError(SafelightError):
    """The address could not be downloaded; a retry may help."""

    code = "fetch_failed"
    status = 502
    title = "The address could not be downloaded"
    remedy = Remedy.RETRY


class UrlNotAllowed(FetchError):
    """The address or a redirect breaks a rule; `reason` says which, and `detail` what allows it."""

    code = "url_not_allowed"
    status = 422
    title = "This address is not allowed"
    remedy = Remedy.NEVER


class FetchRefused(FetchError):
    """The other server answered with a client error such as 404."""

    code = "fetch_refused"
    title = "The other server refused the download"
    remedy = Remedy.NEVER


class FetchTooLarge(FetchError):
    """The download exceeded the size limit and was stopped."""

    code = "fetch_too_large"
    status = 422
    title = "The download is too large"
    remedy = Remedy.NEVER


class FetchTimeout(FetchError):
    """The other server was too slow or never finished."""

    code = "fetch_timeout"
    status = 504
    title = "The download took too long"


class FetchPaused(FetchError):
    """The other server asked for a pause; `retry_after` is the time left."""

    code = "fetch_paused"
    status = 503
    title = "The other server asked for a pause"
    remedy = Remedy.WAIT
