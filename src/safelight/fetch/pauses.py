"""Tracks hosts that asked for a pause with Retry-After, and until when."""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from safelight.fetch.errors import FetchPaused

_MAX_HOSTS = 4096  # tracked at once; the least recently used is evicted


class HostPauses:
    """The paused hosts of one process, each for at most `longest`."""

    def __init__(self, *, longest: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest_s = longest.total_seconds()
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def note(self, host: str, wait: timedelta) -> None:
        """Pause `host` for `wait`; the longest of several waits applies."""
        until = self._clock() + min(wait.total_seconds(), self._longest_s)
        self._until[host] = max(until, self._until.get(host, until))
        self._until.move_to_end(host)
        if len(self._until) > _MAX_HOSTS:
            self._until.popitem(last=False)

    def check(self, host: str) -> None:
        """Raise `FetchPaused` with the remaining time while `host` is paused."""
        until = self._until.get(host)
        if until is None:
            return
        rest = until - self._clock()
        if rest <= 0:
            del self._until[host]
            return
        self._until.move_to_end(host)
        raise FetchPaused(retry_after=timedelta(seconds=rest))
