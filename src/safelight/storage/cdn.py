"""CDN interface: purge removed files."""

from collections.abc import Collection
from typing import Protocol


class Cdn(Protocol):
    """A CDN in front of public files."""

    async def forget(self, keys: Collection[str]) -> None:
        """Purge removed objects; unknown keys are not an error.

        Raises `StorageFailed` if the CDN does not accept that now; the caller retries with the same
        keys.
        """
        ...


class NoCdn:
    """The null CDN."""

    async def forget(self, keys: Collection[str]) -> None:
        """Do nothing."""
