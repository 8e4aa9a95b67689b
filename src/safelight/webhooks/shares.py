"""Limits concurrent deliveries per receiver, so a hanging one does not delay others. Pure."""

from collections import Counter, OrderedDict

_REMEMBERED = 2_000  # failed receivers; the least recently failed is evicted


class Shares:
    """Counts the deliveries in progress per receiver.

    A receiver whose last try failed gets one at a time, to leave room for the others.
    """

    def __init__(self, *, each: int) -> None:
        self.each = each
        self._busy: Counter[str] = Counter()
        self._failing: OrderedDict[str, None] = OrderedDict()

    def taken(self) -> dict[str, int]:
        """Return how much of each receiver's share is unavailable."""
        held = dict.fromkeys(self._failing, self.each - 1)
        return {
            receiver: self._busy[receiver] + held.get(receiver, 0)
            for receiver in (*held, *self._busy)
        }

    def begin(self, receiver: str) -> None:
        """Count a delivery that starts."""
        self._busy[receiver] += 1

    def end(self, receiver: str, *, well: bool) -> None:
        """Count a delivery that has ended; `well` if it succeeded."""
        self._busy -= Counter({receiver: 1})
        self._failing.pop(receiver, None)
        if not well:
            self._failing[receiver] = None
            if len(self._failing) > _REMEMBERED:
                self._failing.popitem(last=False)
