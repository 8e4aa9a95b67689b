"""Writes all that an installation keeps into one file, and puts it into an empty one."""

from datetime import datetime
from pathlib import Path

from safelight.app import open_kept
from safelight.backup import Summary, back_up, restore
from safelight.cli.environment import read_settings
from safelight.cli.failure import BadUse, Failure
from safelight.cli.show import Screen
from safelight.errors import SafelightError


async def write_backup(target: str | None) -> None:
    """Back this installation up; it may be at work meanwhile."""
    path = Path(target or f"safelight-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}.tar")
    if not path.parent.is_dir():
        raise BadUse(f"{path} cannot be written: there is no folder {path.parent}.")
    screen = Screen()
    try:
        async with open_kept(read_settings()) as kept:
            done = await back_up(kept.database, kept.storage, path, path.parent)
    except SafelightError as error:
        raise Failure(error.detail) from None
    screen.result(str(path))
    screen.note(_told(done))


async def restore_backup(source: str) -> None:
    """Put a backup into this installation, which nobody has used yet."""
    path = Path(source)
    if not path.is_file():  # noqa: ASYNC240  before anything else goes on
        raise BadUse(f"{path} cannot be read: there is no such file.")
    screen = Screen()
    try:
        async with open_kept(read_settings()) as kept:
            done = await restore(kept.database, kept.storage, path, kept.scratch)
    except SafelightError as error:
        raise Failure(error.detail) from None
    screen.result(_told(done))


def _told(done: Summary) -> str:
    text = f"{done.rows} rows and {done.objects} files"
    return f"{text}; {done.missing} files had gone meanwhile" if done.missing else text
