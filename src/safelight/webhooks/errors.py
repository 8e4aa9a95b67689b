"""Errors of webhook endpoints."""

from safelight.errors import RequestError


class EndpointDisabled(RequestError):
    """The webhook endpoint is disabled: nothing is sent there until it is enabled."""

    code = "endpoint_disabled"
    status = 409
    title = "This webhook endpoint is disabled"
