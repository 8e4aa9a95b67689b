"""Keeps the responses of small public files in memory, for files requested again and again.

A response is kept for a second, so that a file deleted by another process is gone everywhere within
that time; files deleted by this process are forgotten at once.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_KEPT_S = 1.0
_MOST_EACH = 2**18  # bytes
_MOST = 2**25  # bytes of all bodies

RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Kept:
    """A response with status 200, and the headers of a 304; `until` is on the clock."""

    body: bytes
    headers: RawHeaders
    headers_304: RawHeaders
    etag: str
    until: float


class HotFiles:
    """The responses of the last second, the least recently kept dropped first."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0

    def keep(self, key: str, body: bytes, headers: RawHeaders) -> None:
        """Keep the response to a request without parameters and conditions."""
        if len(body) > _MOST_EACH:
            return
        self.forget(key)
        etag = next(value for name, value in headers if name == b"etag").decode("latin-1")
        short = [each for each in headers if each[0] not in {b"content-length", b"content-type"}]
        self._kept[key] = Kept(body, headers, short, etag, self._clock() + _KEPT_S)
        self._bytes += len(body)
        while self._bytes > _MOST:
            self.forget(next(iter(self._kept)))

    def get(self, key: str) -> Kept | None:
        """Return the response for `key`, unless it is too old."""
        kept = self._kept.get(key)
        if kept is not None and self._clock() >= kept.until:
            self.forget(key)
            return None
        return kept

    def forget(self, key: str) -> None:
        """Drop a file that is deleted."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept.body)
