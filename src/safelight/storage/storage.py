"""The socket that bytes are kept behind, and its plug: any store that obstore can speak to."""

import asyncio
import os
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore

from safelight.errors import NotFound, StorageFailed, StorageFull
from safelight.telemetry import STORED_BYTES

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of an object without reading it."""

    key: str
    bytes: int
    etag: str


class Storage(Protocol):
    """Whole objects under keys such as `images/job_…/….png`; a key is written once."""

    async def put(self, key: str, source: Path) -> None:
        """Keep the file's bytes under `key`; when this returns they survive a power cut.

        Raises `StorageFull` or `StorageFailed`, and then nothing is there.
        """
        ...

    async def head(self, key: str) -> Stored:
        """Raise `NotFound` where there is nothing."""
        ...

    def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield bytes `start` up to, not including, `end`."""
        ...

    async def copy_to(self, key: str, target: Path) -> None:
        """Write the object to a file."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there are no error."""
        ...

    async def check(self) -> None:
        """Raise when the store cannot be reached or written."""
        ...


class ObstoreStorage:
    """Storage on an obstore store. `root` is its folder where that is a disk."""

    def __init__(self, store: "ObjectStore", *, root: Path | None = None) -> None:
        self._store = store
        self._root = root

    async def put(self, key: str, source: Path) -> None:
        with typed_errors(key):
            await obstore.put_async(self._store, key, source)
        if self._root is not None:
            # A rename is not durable until file and folder are synced, which obstore leaves out.
            await asyncio.to_thread(_sync, self._root / key)
        STORED_BYTES.inc((await self.head(key)).bytes)

    async def head(self, key: str) -> Stored:
        with typed_errors(key):
            meta = await obstore.head_async(self._store, key)
        return Stored(key, meta["size"], (meta["e_tag"] or "").strip('"'))

    async def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        if end <= start:
            return
        with typed_errors(key):
            found = await obstore.get_async(self._store, key, options={"range": (start, end)})
            async for chunk in found.stream(min_chunk_size=_CHUNK):
                yield bytes(chunk)

    async def copy_to(self, key: str, target: Path) -> None:
        size = (await self.head(key)).bytes
        with await asyncio.to_thread(target.open, "wb") as file:
            async for chunk in self.read(key, start=0, end=size):
                await asyncio.to_thread(file.write, chunk)

    async def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError:
                continue

    async def check(self) -> None:
        with typed_errors("health"):
            await obstore.put_async(self._store, "health/probe", b"ok")


def open_disk(folder: Path) -> ObstoreStorage:
    """Return storage in `folder`, made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return ObstoreStorage(LocalStore(prefix=folder), root=folder)


@contextmanager
def typed_errors(key: str) -> Generator[None]:
    """Turn the store's and the disk's exceptions into Safelight's own."""
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"There is no file {key}.") from None
    except (BaseError, OSError) as error:
        if "No space left" in str(error) or "os error 28" in str(error):
            raise StorageFull from error
        raise StorageFailed("The file store could not be reached.") from error


def _sync(path: Path) -> None:
    for target in (path, path.parent):
        handle = os.open(target, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
