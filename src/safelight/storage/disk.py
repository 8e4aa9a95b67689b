"""Storage in a folder of this machine; what it has taken survives a power cut."""

import asyncio
import os
from pathlib import Path

from obstore.store import LocalStore

from safelight.storage.objects import ObjectStorage, typed_errors


class DiskStorage(ObjectStorage):
    """Storage in `folder`, made if it is missing."""

    def __init__(self, folder: Path) -> None:
        with typed_errors():
            folder.mkdir(parents=True, exist_ok=True)
            super().__init__(LocalStore(prefix=folder))
        self._folder = folder

    async def put(self, key: str, source: Path) -> None:
        await super().put(key, source)
        # A rename is not durable until file and folder are synced, which obstore leaves out.
        with typed_errors():
            await asyncio.to_thread(_sync, self._folder / key)


def _sync(path: Path) -> None:
    for target in (path, path.parent):
        handle = os.open(target, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
