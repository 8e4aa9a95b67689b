"""Storage in a local folder; stored objects survive a power failure."""

import asyncio
import os
import secrets
from pathlib import Path

from obstore.store import LocalStore

from safelight.storage.objects import ObjectStorage, typed_errors
from safelight.telemetry import STORED_BYTES

_DRAFTS = 10**12  # a number behind "#" in the name, which listings leave out, as obstore's own


class DiskStorage(ObjectStorage):
    """Storage in `folder`, created if missing."""

    def __init__(self, folder: Path) -> None:
        with typed_errors():
            folder.mkdir(parents=True, exist_ok=True)
            super().__init__(LocalStore(prefix=folder))
        self._folder = folder

    async def put(self, key: str, source: Path | bytes) -> None:
        if isinstance(source, bytes):
            with self._pace.write(), typed_errors():
                await asyncio.to_thread(_write, self._folder / key, source)
            STORED_BYTES.inc(len(source))
            return
        await super().put(key, source)
        # A rename is durable only after fsync of file and folder, which obstore does not do.
        with typed_errors():
            path = self._folder / key
            await asyncio.to_thread(_sync, path, path.parent)


def _write(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all, and survives a power failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}#{secrets.randbelow(_DRAFTS)}")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(*paths: Path) -> None:
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
