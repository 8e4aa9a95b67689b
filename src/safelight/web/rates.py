"""Rate limits per file and per API key."""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from safelight.web.errors import TooManyRequests

_REMEMBERED = 10_000  # buckets; the least recently used is dropped first
_BURST_S = 2.0


class Rates:
    """A token bucket per name, in this process, with a burst of twice the rate."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when

    def __len__(self) -> int:
        return len(self._known)

    def take(self, name: str, per_s: float) -> None:
        """Count one request; raise `TooManyRequests` with the time until the next is due.

        `per_s` requests per second are allowed; 0 is no limit.
        """
        if not per_s:
            return
        most = max(per_s * _BURST_S, 1.0)
        now = self._clock()
        tokens, then = self._known.pop(name, (most, now))
        tokens = min(tokens + (now - then) * per_s, most)
        taken = tokens >= 1
        self._known[name] = (tokens - taken, now)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        if not taken:
            raise TooManyRequests(retry_after=timedelta(seconds=(1 - tokens) / per_s))
