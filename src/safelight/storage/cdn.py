"""What is to know of a CDN in front of public files: that one of them has gone."""

from collections.abc import Collection
from typing import Protocol


class Cdn(Protocol):
    """Copies of public files, near those who look at them."""

    async def forget(self, keys: Collection[str]) -> None:
        """Have it forget objects that have been removed; those it never had are no error.

        Raises `StorageFailed` where it does not take that now; the same call is made again then.
        """
        ...


class NoCdn:
    """There is none."""

    async def forget(self, keys: Collection[str]) -> None:
        """Nobody has copies."""
