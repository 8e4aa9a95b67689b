"""Storage in two places: public objects in one, private objects in the other."""

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import timedelta
from pathlib import Path

from safelight.storage.storage import Storage, Stored


class PartedStorage:
    """Stores public keys in `public`, and all others in `private`."""

    def __init__(self, private: Storage, public: Storage, is_public: Callable[[str], bool]) -> None:
        self._private = private
        self._public = public
        self._is_public = is_public

    def _of(self, key: str) -> Storage:
        return self._public if self._is_public(key) else self._private

    async def put(self, key: str, source: Path | bytes) -> None:
        await self._of(key).put(key, source)

    async def head(self, key: str) -> Stored:
        return await self._of(key).head(key)

    def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        return self._of(key).read(key, start=start, end=end)

    async def copy_to(self, key: str, target: Path) -> None:
        await self._of(key).copy_to(key, target)

    async def delete(self, keys: Iterable[str]) -> None:
        known = list(keys)
        await self._public.delete([key for key in known if self._is_public(key)])
        await self._private.delete([key for key in known if not self._is_public(key)])

    async def all(self) -> AsyncIterator[Stored]:
        for part in (self._private, self._public):
            async for stored in part.all():
                if self._of(stored.key) is part:
                    yield stored

    async def address(self, key: str, *, lifetime: timedelta) -> str | None:
        return await self._of(key).address(key, lifetime=lifetime)

    async def check(self) -> None:
        await self._private.check()
        await self._public.check()
