"""Errors of backups."""

from safelight.errors import RequestError


class BackupUnfit(RequestError):
    """The backup cannot be restored here: it is damaged, of another version, or conflicts."""

    code = "backup_unfit"
    status = 409
    title = "The backup cannot be restored here"
