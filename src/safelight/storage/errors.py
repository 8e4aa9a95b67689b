"""Errors of the object store."""

from safelight.errors import Remedy, ServiceError


class StorageFailed(ServiceError):
    """The object store did not answer or refused a write."""

    code = "storage_failed"
    title = "The file store failed"
    remedy = Remedy.WAIT  # costs no attempt: the fault is the store's, not the job's
