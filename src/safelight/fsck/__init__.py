"""Checks the consistency of storage and database, and repairs it."""

from safelight.fsck.fsck import Finding, Remedy, Report, examine, mend

__all__ = ["Finding", "Remedy", "Report", "examine", "mend"]
