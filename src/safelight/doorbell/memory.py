"""An in-process doorbell."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta


class MemoryBell:
    """Records which topics rang, each once, so it is bounded."""

    def __init__(self) -> None:
        self._rung: set[str] = set()
        self._event = asyncio.Event()

    def hear(self, topic: str) -> None:
        self._rung.add(topic)
        self._event.set()

    async def wait(self, at_most: timedelta) -> frozenset[str]:
        try:
            async with asyncio.timeout(at_most.total_seconds()):
                await self._event.wait()
        except TimeoutError:
            return frozenset()
        rung = frozenset(self._rung)
        self._rung.clear()
        self._event.clear()
        return rung


class MemoryDoorbell:
    """Every listener of a topic has a bell, and a ring reaches them all."""

    name = "memory"

    def __init__(self) -> None:
        self._bells: dict[str, set[MemoryBell]] = {}

    @property
    def topics(self) -> frozenset[str]:
        """The topics with listeners."""
        return frozenset(self._bells)

    def ring(self, *topics: str) -> None:
        for topic in topics:
            for bell in self._bells.get(topic, ()):
                bell.hear(topic)

    @contextmanager
    def listen(self, *topics: str) -> Generator[MemoryBell]:
        bell = MemoryBell()
        wanted = frozenset(topics)
        for topic in wanted:
            self._bells.setdefault(topic, set()).add(bell)
        try:
            yield bell
        finally:
            for topic in wanted:
                self._bells[topic].discard(bell)
                if not self._bells[topic]:
                    del self._bells[topic]

    async def check(self) -> None:
        """Do nothing: there are no other processes to reach."""
