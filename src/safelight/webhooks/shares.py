"""Limits concurrent deliveries per receiver and endpoint, so those that hang delay no others. Pure.

A receiver is an endpoint, or a place that jobs of an account name. One whose last try failed gets
one at a time; one that hung several times in a row gets none for a while.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_REMEMBERED = 2_000  # failed receivers; the least recently failed is evicted
_HANGS = 3  # in a row, before the first pause
_PAUSE_S = 15.0  # doubles with each further hang
_LONGEST_PAUSE_S = 300.0


@dataclass(frozen=True, slots=True)
class Taken:
    """The shares in use: at most `each` per receiver and `most` per endpoint."""

    each: int
    most: int
    receivers: Mapping[str, int] = field(default_factory=dict[str, int])
    endpoints: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class _Failing:
    hangs: int = 0
    until: float = 0.0


class Shares:
    """Counts the deliveries in progress of one notifier."""

    def __init__(
        self, *, each: int, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._each, self._most = each, most
        self._clock = clock
        self._busy: Counter[str] = Counter()
        self._failing: OrderedDict[str, _Failing] = OrderedDict()

    def taken(self) -> Taken:
        """Return how much of each share is unavailable."""
        at = self._clock()
        held = {
            receiver: self._each if at < failing.until else self._each - 1
            for receiver, failing in self._failing.items()
        }
        endpoints: Counter[str] = Counter()
        for receiver, count in self._busy.items():
            endpoints[receiver.partition("/")[0]] += count
        receivers = {
            receiver: self._busy[receiver] + held.get(receiver, 0)
            for receiver in (*held, *self._busy)
        }
        return Taken(self._each, self._most, receivers, endpoints)

    def begin(self, receiver: str) -> None:
        """Count a delivery that starts."""
        self._busy[receiver] += 1

    def end(self, receiver: str, *, well: bool, hung: bool = False) -> None:
        """Count a delivery that has ended; `well` if it succeeded, `hung` if it got no answer."""
        self._busy -= Counter({receiver: 1})
        before = self._failing.pop(receiver, _Failing())
        if well:
            return
        hangs = before.hangs + 1 if hung else 0
        pause_s = _PAUSE_S * 2 ** min(hangs - _HANGS, 9) if hangs >= _HANGS else 0.0
        until = self._clock() + min(pause_s, _LONGEST_PAUSE_S)
        self._failing[receiver] = _Failing(hangs, until)
        if len(self._failing) > _REMEMBERED:
            self._failing.popitem(last=False)
