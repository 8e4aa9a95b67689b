"""The rings that wait to be sent: each topic once, and a bounded number of them."""

import asyncio
from collections.abc import Iterable

from safelight.doorbell.message import fits

_MOST_TOPICS = 10_000
_SUBJECT = "subject:"


class Outbox:
    """Keeps lane rings before subject rings: streams look by themselves sooner than workers."""

    def __init__(self, most_topics: int = _MOST_TOPICS) -> None:
        self._most = most_topics
        self._subjects: dict[str, None] = {}  # a set that knows which came first
        self._others: dict[str, None] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._subjects) + len(self._others)

    def add(self, topics: Iterable[str]) -> None:
        """Take what can travel; where there is no room, the oldest subject is forgotten."""
        for topic in filter(fits, topics):
            kept = self._subjects if topic.startswith(_SUBJECT) else self._others
            kept[topic] = None
            if len(self) > self._most:
                crowded = self._subjects or self._others
                del crowded[next(iter(crowded))]
        if len(self):
            self._filled.set()

    def take(self) -> list[str]:
        """Return all that waits, and be empty."""
        topics = [*self._others, *self._subjects]
        self._others.clear()
        self._subjects.clear()
        self._filled.clear()
        return topics

    async def filled(self) -> None:
        """Return once something waits."""
        await self._filled.wait()
