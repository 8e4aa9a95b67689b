"""Errors of the doorbell."""

from safelight.errors import ServiceError


class DoorbellSilent(ServiceError):
    """Rings do not reach other processes now; work waits for the next poll."""

    code = "doorbell_silent"
    title = "Rings do not reach other processes"
