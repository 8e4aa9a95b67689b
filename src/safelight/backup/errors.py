"""A backup that cannot be restored."""

from safelight.errors import RequestError


class BackupUnfit(RequestError):
    """The backup cannot be restored here: it is damaged, of another version, or not needed."""

    code = "backup_unfit"
    status = 409
    title = "The backup cannot be restored here"
