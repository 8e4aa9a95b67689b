"""Storage interface: whole objects under keys, each written once."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """An object's metadata. `etag` is without quotes."""

    key: str
    bytes: int
    etag: str
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Served:
    """Response headers for an object downloaded directly from a bucket."""

    media_type: str
    cache_control: str


Describe = Callable[[str], Served]
"""Returns the response headers for a key; storage itself knows no media types."""


class Storage(Protocol):
    """Stores whole objects under keys such as `images/job_…/….png`; a key is written once."""

    async def put(self, key: str, source: Path | bytes) -> None:
        """Store a file or bytes under `key`; once this returns they survive a power failure.

        Raises `StorageFull` or `StorageFailed`, and then nothing is stored.
        """
        ...

    async def head(self, key: str) -> Stored:
        """Return the object's metadata; raise `NotFound` if there is none."""
        ...

    def read(self, key: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield bytes from `start` up to but excluding `end`."""
        ...

    async def copy_to(self, key: str, target: Path) -> None:
        """Write the object to a file."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; missing ones are not an error."""
        ...

    def all(self) -> AsyncIterator[Stored]:
        """Yield all objects, unordered; concurrent changes may or may not be included."""
        ...

    async def address(self, key: str, *, lifetime: timedelta) -> str | None:
        """Return a presigned URL valid for `lifetime`; None if the store cannot presign."""
        ...

    async def check(self) -> None:
        """Raise if the store cannot be reached or written."""
        ...
