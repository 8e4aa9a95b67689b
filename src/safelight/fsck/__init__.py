"""Compares what is in storage with what the rows say is there, and mends what can be mended."""

from safelight.fsck.fsck import Finding, Remedy, Report, examine, mend

__all__ = ["Finding", "Remedy", "Report", "examine", "mend"]
