"""The data directory: its lock, and the files by which local processes find the server."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import anyio.to_thread

from safelight import ids
from safelight.errors import Remedy, ServiceError, SettingInvalid, StorageFull

_LOCK = "lock"
_SERVER = "server.json"
_KEY = "key.json"
_TRIES = 5
_PAUSE_S = 0.02


class DataDirectoryInUse(ServiceError):
    """Another Safelight process already serves this data directory."""

    code = "data_directory_in_use"
    title = "Another Safelight process uses this data directory"


class NoInstallation(ServiceError):
    """A command needs an installation, and there is none."""

    code = "no_installation"
    title = "There is no installation here"
    remedy = Remedy.NEVER


@dataclass(frozen=True, slots=True)
class RunningServer:
    """The URL and process of the running server."""

    url: str
    pid: int


def make_data_dir(folder: Path) -> None:
    """Create `folder` for this user only; raise `SettingInvalid` if that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingInvalid(
            f"SAFELIGHT_DATA_DIR: {folder} cannot be created: {error.strerror}"
        ) from None


@contextmanager
def claim_data_dir(folder: Path, *, alone: bool) -> Generator[None]:
    """Lock `folder`, exclusively or shared. The lock ends with the process."""
    make_data_dir(folder)
    with (folder / _LOCK).open("a") as lock:
        if not _try_lock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
            server = running_server(folder)
            where = f" at {server.url} (process {server.pid})" if server else ""
            raise DataDirectoryInUse(
                f"Another Safelight already uses {folder}{where}. "
                "Stop it, or choose another folder with SAFELIGHT_DATA_DIR."
            )
        try:
            yield
        finally:
            if _read(folder / _SERVER).get("pid") == os.getpid():
                (folder / _SERVER).unlink(missing_ok=True)


@contextmanager
def scratch_folder(parent: Path) -> Generator[Path]:
    """Yield an empty folder for this process; remove those of dead processes."""
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.iterdir():
        if not (left / _LOCK).exists() or not _is_held(left / _LOCK):
            shutil.rmtree(left, ignore_errors=True)
    # Locked before it is moved into place, so that it is never seen unlocked.
    draft = parent.with_name(f"{parent.name}-{ids.secret(60)}")
    draft.mkdir()
    with (draft / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = draft.rename(parent / draft.name)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _try_lock(lock: IO[str], how: int) -> bool:
    """Take the lock; retries, because a process that only checks has it for an instant."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)  # noqa: TID251  no event loop runs yet
        else:
            return True
    return False


def _is_held(path: Path) -> bool:
    with path.open("a") as lock:
        return not _try_lock(lock, fcntl.LOCK_EX)


def is_claimed(folder: Path) -> bool:
    """Return whether a process has locked `folder`."""
    return (folder / _LOCK).exists() and _is_held(folder / _LOCK)


def announce(folder: Path, server: RunningServer) -> None:
    """Publish the server's URL for command lines on this machine."""
    write_private(folder / _SERVER, asdict(server))


def running_server(folder: Path) -> RunningServer | None:
    """Return the announced server of `folder`, or None if it is not running."""
    found = _read(folder / _SERVER)
    if not found or not is_claimed(folder):
        return None
    return RunningServer(str(found["url"]), int(found["pid"]))


def local_key(folder: Path) -> str:
    """Return the API key of the local command line; empty before the first start."""
    return str(_read(folder / _KEY).get("key", ""))


def keep_local_key(folder: Path, secret: str) -> None:
    """Write the key, readable only by this user."""
    write_private(folder / _KEY, {"key": secret})


def write_private(path: Path, document: Mapping[str, object]) -> None:
    """Replace a file by a JSON document that only this user can read."""
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _read(path: Path) -> dict[str, str | int]:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


class DiskGuard:
    """Rejects new work when the disk is nearly full; checks at most once per second."""

    def __init__(self, folder: Path, least: int) -> None:
        """`least` is the reserve in bytes."""
        self._folder = folder
        self._least = least
        self._free = 0
        self._looked_at = float("-inf")

    async def check(self) -> None:
        """Raise `StorageFull` if less than `least` bytes are free."""
        if time.monotonic() - self._looked_at > 1:
            usage = await anyio.to_thread.run_sync(shutil.disk_usage, self._folder)
            self._free, self._looked_at = usage.free, time.monotonic()
        if self._free < self._least:
            raise StorageFull(f"{self._free} bytes are free; {self._least} are reserved.")
