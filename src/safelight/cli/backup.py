"""Backs up and restores an installation, and verifies a backup."""

from datetime import datetime
from pathlib import Path

from safelight.app import open_offline
from safelight.backup import Summary, back_up, restore, verify
from safelight.cli.environment import read_settings
from safelight.cli.failure import BadUse, Failure
from safelight.cli.interrupt import interruptible
from safelight.cli.saved.written import STDOUT, writing
from safelight.cli.show import Screen
from safelight.errors import SafelightError

_EMPTY_STILL = (
    "The installation has no rows yet. Files that were stored already are used again: run the same "
    "command again."
)


async def write_backup(target: str | None, account_id: str | None = None) -> None:
    """Write an installation or one account to a file; a server may run meanwhile.

    Raises `Failure` after writing if files are lost or damaged.
    """
    name = account_id or f"safelight-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}"
    target = target or f"{name}.tar"
    screen = Screen()
    try:
        async with open_offline(read_settings()) as kept:
            with interruptible("No backup was written."), writing(target) as out:
                done = await back_up(
                    kept.database, kept.storage, out, kept.scratch, account_id=account_id
                )
    except SafelightError as error:
        raise Failure(error.detail) from None
    if target != STDOUT:
        screen.result(target)
    screen.note(told(done))
    _complain(screen, done)


def _complain(screen: Screen, done: Summary) -> None:
    for word, keys in (("lost", done.lost), ("damaged", done.damaged)):
        for key in keys:
            screen.note(f"{word}: {key}")
    if done.lost or done.damaged:
        raise Failure(
            f"The backup is whole but for {len(done.lost)} lost and {len(done.damaged)} damaged "
            "files. `safelight storage fsck --deep --repair` rebuilds those that can be rebuilt."
        )


async def restore_backup(source: str) -> None:
    """Restore a backup into an empty installation."""
    screen = Screen()
    path = readable(source)
    try:
        async with open_offline(read_settings(), create=True) as kept:
            with interruptible(_EMPTY_STILL):
                done = await restore(kept.database, kept.storage, path, kept.scratch)
    except SafelightError as error:
        raise Failure(error.detail) from None
    screen.result(told(done))


async def verify_backup(source: str, *, as_json: bool) -> None:
    """Compare a backup with its checksums."""
    screen = Screen()
    try:
        found = await verify(readable(source))
    except SafelightError as error:
        raise Failure(error.detail) from None
    if as_json:
        screen.document(found)
        return
    what = f"account {found['account']}" if found["account"] else "installation"
    screen.result(
        f"All {found['entries']} entries are as they were written: {what}, "
        f"{found['made_at']}, Safelight {found['safelight']}, schema {found['schema']}."
    )
    for key in found["lost"]:
        screen.note(f"lost before the backup: {key}")


def readable(source: str) -> Path:
    """Return the path of a file to read; raise `BadUse` if there is none."""
    path = Path(source)
    if not path.is_file():
        raise BadUse(f"{path} cannot be read: there is no such file.")
    return path


def told(done: Summary) -> str:
    """Return the totals as text."""
    text = f"{done.rows} rows and {done.objects} files"
    if done.gone:
        text += f"; {done.gone} files were deleted meanwhile"
    return f"{text}; {len(done.lost)} files are lost" if done.lost else text
