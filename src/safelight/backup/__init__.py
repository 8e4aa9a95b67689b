"""Takes all that an installation keeps into one file, and puts it back into an empty one."""

from safelight.backup.backup import Summary, back_up, restore

__all__ = ["Summary", "back_up", "restore"]
