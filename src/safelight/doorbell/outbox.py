"""A bounded, deduplicated queue of rings to send."""

import asyncio
from collections.abc import Iterable

from safelight.doorbell.message import fits

_MOST_TOPICS = 10_000
_SUBJECT = "subject:"


class Outbox:
    """Prefers lane rings over subject rings, because streams poll more often than workers."""

    def __init__(self, most_topics: int = _MOST_TOPICS) -> None:
        self._most = most_topics
        self._subjects: dict[str, None] = {}  # an ordered set
        self._others: dict[str, None] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._subjects) + len(self._others)

    def add(self, topics: Iterable[str]) -> None:
        """Queue the topics that can be sent; if full, drop the oldest subject."""
        for topic in filter(fits, topics):
            kept = self._subjects if topic.startswith(_SUBJECT) else self._others
            kept[topic] = None
            if len(self) > self._most:
                crowded = self._subjects or self._others
                del crowded[next(iter(crowded))]
        if len(self):
            self._filled.set()

    def take(self) -> list[str]:
        """Return all queued topics and clear the queue."""
        topics = [*self._others, *self._subjects]
        self._others.clear()
        self._subjects.clear()
        self._filled.clear()
        return topics

    async def filled(self) -> None:
        """Wait until a topic is queued."""
        await self._filled.wait()
