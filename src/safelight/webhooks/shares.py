"""Shares out what is under way among receivers, so that one that hangs delays no other. Pure."""

from collections import Counter, OrderedDict

_REMEMBERED = 2_000  # receivers that failed; the one not heard of for longest is forgotten first


class Shares:
    """How many deliveries are under way, to which receivers.

    A receiver whose last try failed gets one at a time: many that hang leave room for the others.
    """

    def __init__(self, *, each: int) -> None:
        self.each = each
        self._busy: Counter[str] = Counter()
        self._failing: OrderedDict[str, None] = OrderedDict()

    def taken(self) -> dict[str, int]:
        """Return how much of each receiver's share is not to be had now."""
        held = dict.fromkeys(self._failing, self.each - 1)
        return {
            receiver: self._busy[receiver] + held.get(receiver, 0)
            for receiver in (*held, *self._busy)
        }

    def begin(self, receiver: str) -> None:
        """Note that one is under way."""
        self._busy[receiver] += 1

    def end(self, receiver: str, *, well: bool) -> None:
        """Note that one has ended, and how."""
        self._busy -= Counter({receiver: 1})
        self._failing.pop(receiver, None)
        if not well:
            self._failing[receiver] = None
            if len(self._failing) > _REMEMBERED:
                self._failing.popitem(last=False)
