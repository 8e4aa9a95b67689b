"""Storage in a local folder; stored objects survive a power failure."""

import asyncio
import os
from pathlib import Path

from obstore.store import LocalStore

from safelight.storage.objects import ObjectStorage, typed_errors


class DiskStorage(ObjectStorage):
    """Storage in `folder`, created if missing."""

    def __init__(self, folder: Path) -> None:
        with typed_errors():
            folder.mkdir(parents=True, exist_ok=True)
            super().__init__(LocalStore(prefix=folder))
        self._folder = folder

    async def put(self, key: str, source: Path | bytes) -> None:
        await super().put(key, source)
        # A rename is durable only after fsync of file and folder, which obstore does not do.
        with typed_errors():
            await asyncio.to_thread(_sync, self._folder / key)


def _sync(path: Path) -> None:
    for target in (path, path.parent):
        handle = os.open(target, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
