"""The object store failed."""

from safelight.errors import Remedy, ServiceError


class StorageFailed(ServiceError):
    """The object store did not answer or refused a write."""

    code = "storage_failed"
    title = "The file store failed"
    remedy = Remedy.WAIT  # costs no attempt: whatever could be kept again could be made again
