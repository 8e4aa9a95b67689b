"""The socket that bytes are kept behind: whole objects under keys, each written once."""

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of an object without reading it. `etag` is without quotes."""

    key: str
    bytes: int
    etag: str
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Served:
    """How a bucket is to send an object that is fetched from it directly."""

    media_type: str
    cache_control: str


Describe = Callable[[str], Served]
"""Says of a key how its object is to be sent; storage itself knows no media types."""


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

    def all(self) -> AsyncIterator[Stored]:
        """Yield every object, in no order; what comes or goes meanwhile may be among them."""
        ...

    async def address(self, key: str, *, lifetime: timedelta) -> str | None:
        """Return a URL where anybody gets the object for so long; None where there is no such."""
        ...

    async def check(self) -> None:
        """Raise when the store cannot be reached or written."""
        ...
