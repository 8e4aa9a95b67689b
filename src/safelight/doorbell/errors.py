"""The doorbell is silent."""

from safelight.errors import ServiceError


class DoorbellSilent(ServiceError):
    """Rings do not reach other processes now; work waits until somebody looks by itself."""

    code = "doorbell_silent"
    title = "Rings do not reach other processes"
