"""The data directory: held by its processes, found by others through the small files in it."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import anyio.to_thread

from safelight import ids
from safelight.errors import ServiceError, StorageFull

_LOCK = "lock"
_SERVER = "server.json"
_KEY = "key.json"
_TRIES = 5
_PAUSE_S = 0.02


class DataDirectoryInUse(ServiceError):
    """Another Safelight process already serves this data directory."""

    code = "data_directory_in_use"
    title = "Another Safelight process uses this data directory"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where the process that holds the directory answers."""

    url: str
    pid: int


@contextmanager
def claim_data_dir(folder: Path, *, alone: bool) -> Iterator[None]:
    """Hold `folder`, alone or beside others that share it. The lock goes with the process."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
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
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty folder of this process alone; what killed ones left beside it is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.iterdir():
        if not (left / _LOCK).exists() or not _is_held(left / _LOCK):
            shutil.rmtree(left, ignore_errors=True)
    # Locked under a name that nobody looks at, so that it is never seen without its lock.
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
    """Take the lock unless another process keeps it; one that only looks has it for an instant."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_S)  # noqa: TID251  nothing runs in this process yet
        else:
            return True
    return False


def _is_held(path: Path) -> bool:
    with path.open("a") as lock:
        return not _try_lock(lock, fcntl.LOCK_EX)


def is_claimed(folder: Path) -> bool:
    """Say whether a process holds `folder`."""
    return (folder / _LOCK).exists() and _is_held(folder / _LOCK)


def announce(folder: Path, server: RunningServer) -> None:
    """Tell command lines on this machine where the server answers."""
    _write(folder / _SERVER, asdict(server))


def running_server(folder: Path) -> RunningServer | None:
    """Return what the process that holds `folder` announced."""
    found = _read(folder / _SERVER)
    if not found or not is_claimed(folder):
        return None
    return RunningServer(str(found["url"]), int(found["pid"]))


def local_key(folder: Path) -> str:
    """Return the API key of this machine's own command line; empty before the first start."""
    return str(_read(folder / _KEY).get("key", ""))


def keep_local_key(folder: Path, secret: str) -> None:
    """Write the key for this user alone to read."""
    _write(folder / _KEY, {"key": secret})


def _write(path: Path, document: dict[str, str | int]) -> None:
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(document, file)
    draft.replace(path)


def _read(path: Path) -> dict[str, str | int]:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


class DiskGuard:
    """Refuses new work when the disk is nearly full; looks at it at most once a second."""

    def __init__(self, folder: Path, least: int) -> None:
        """`least` is how many bytes are kept back."""
        self._folder = folder
        self._least = least
        self._free = 0
        self._looked_at = float("-inf")

    async def check(self) -> None:
        """Raise `StorageFull` where less than `least` bytes are free."""
        if time.monotonic() - self._looked_at > 1:
            usage = await anyio.to_thread.run_sync(shutil.disk_usage, self._folder)
            self._free, self._looked_at = usage.free, time.monotonic()
        if self._free < self._least:
            raise StorageFull(f"{self._free} bytes are free; {self._least} are kept back.")
