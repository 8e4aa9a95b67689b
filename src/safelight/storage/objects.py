"""Storage on any obstore backend; the base of disks and buckets."""

# pyright: reportUnknownMemberType=false
# The type of `obstore.list` is partly generic.

import asyncio
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError

from safelight import telemetry
from safelight.errors import NotFound, StorageFull
from safelight.storage.causes import explain, told
from safelight.storage.errors import StorageFailed
from safelight.storage.pace import Pace
from safelight.storage.storage import Stored
from safelight.telemetry import STORED_BYTES

if TYPE_CHECKING:
    from obstore import Attributes, ObjectMeta
    from obstore.store import ObjectStore

# One request per piece, so that a slow reader keeps no connection open and memory is bounded.
_PIECE = 4 * 2**20
_DELETES_AT_ONCE = 16
_PROBE = "health/probe"
_NO_PLACE = "NoSuchBucket"
_log = telemetry.logger(__name__)


class ObjectStorage:
    """Storage in `store`."""

    def __init__(self, store: "ObjectStore") -> None:
        self._store = store
        self._pace = Pace()

    async def put(self, key: str, source: Path | bytes) -> None:
        with self._pace.write(), typed_errors():
            is_file = isinstance(source, Path)
            size = (await asyncio.to_thread(source.stat)).st_size if is_file else len(source)
            await obstore.put_async(self._store, key, source, attributes=self._attributes(key))
        STORED_BYTES.inc(size)

    def _attributes(self, _key: str) -> "Attributes | None":
        """Return the attributes to store with the object."""
        return None

    async def head(self, key: str) -> Stored:
        with typed_errors(key):
            return _stored(await obstore.head_async(self._store, key))

    async def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        for begin in range(start, end, _PIECE):
            with typed_errors(key):
                piece = await obstore.get_range_async(
                    self._store, key, start=begin, end=min(begin + _PIECE, end)
                )
            yield bytes(piece)

    async def copy_to(self, key: str, target: Path) -> None:
        size = (await self.head(key)).bytes
        with await asyncio.to_thread(target.open, "wb") as file:
            async for piece in self.read(key, start=0, end=size):
                await asyncio.to_thread(file.write, piece)

    async def delete(self, keys: Iterable[str]) -> None:
        known = list(keys)
        for begin in range(0, len(known), _DELETES_AT_ONCE):
            await asyncio.gather(*map(self._delete, known[begin : begin + _DELETES_AT_ONCE]))

    async def _delete(self, key: str) -> None:
        with typed_errors(key):
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError:
                return

    async def all(self) -> AsyncIterator[Stored]:
        with typed_errors():
            async for page in obstore.list(self._store):
                for meta in page:
                    if meta["path"] != _PROBE:
                        yield _stored(meta)

    async def address(self, key: str, *, lifetime: timedelta) -> str | None:
        return None

    async def check(self) -> None:
        with typed_errors():
            await obstore.put_async(self._store, _PROBE, b"ok")


def _stored(meta: "ObjectMeta") -> Stored:
    etag = (meta["e_tag"] or "").strip('"')
    return Stored(meta["path"], meta["size"], etag, meta["last_modified"])


@contextmanager
def typed_errors(looked_for: str = "") -> Generator[None]:
    """Turn exceptions of the store and the disk into Safelight's errors.

    A missing file is `NotFound` if its key is given as `looked_for`, else a failure of the store.
    """
    try:
        yield
    except (BaseError, OSError) as error:
        if looked_for and isinstance(error, FileNotFoundError) and _NO_PLACE not in str(error):
            raise NotFound(f"There is no file {looked_for}.") from None
        if "No space left" in str(error) or "os error 28" in str(error):
            raise StorageFull from error
        cause = explain(error)
        _log.warning("file store failed", cause=cause, told=told(error))
        raise StorageFailed(cause) from error
