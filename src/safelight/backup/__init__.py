"""Takes all that an installation keeps, or an account, into one file, and puts it back."""

from safelight.backup.backup import Summary, back_up, import_account, restore

__all__ = ["Summary", "back_up", "import_account", "restore"]
