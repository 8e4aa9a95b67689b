"""Storage that reports the keys it deletes, so that no copy in memory outlives its object."""

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import timedelta
from pathlib import Path

from safelight.storage.storage import Storage, Stored


class ForgettingStorage:
    """Does as `storage` does; calls `forget` with each key once it is deleted."""

    def __init__(self, storage: Storage, forget: Callable[[str], None]) -> None:
        self._storage = storage
        self._forget = forget

    async def put(self, key: str, source: Path | bytes) -> None:
        await self._storage.put(key, source)

    async def head(self, key: str) -> Stored:
        return await self._storage.head(key)

    def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        return self._storage.read(key, start=start, end=end)

    async def copy_to(self, key: str, target: Path) -> None:
        await self._storage.copy_to(key, target)

    async def delete(self, keys: Iterable[str]) -> None:
        gone = list(keys)
        await self._storage.delete(gone)
        for key in gone:
            self._forget(key)

    def all(self) -> AsyncIterator[Stored]:
        return self._storage.all()

    async def address(self, key: str, *, lifetime: timedelta) -> str | None:
        return await self._storage.address(key, lifetime=lifetime)

    async def check(self) -> None:
        await self._storage.check()
