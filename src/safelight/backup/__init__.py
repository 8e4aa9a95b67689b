"""Backs up and restores an installation or a single account, as one file."""

from safelight.backup.backup import Summary, back_up, import_account, restore, verify

__all__ = ["Summary", "back_up", "import_account", "restore", "verify"]
