"""The listeners of this process, as a wire to other processes sees them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from safelight import ids, telemetry
from safelight.doorbell import message
from safelight.doorbell.memory import MemoryBell, MemoryDoorbell

_log = telemetry.logger(__name__)

_LANE = "lane:"


class Ears:
    """Strikes local bells, and knows its own messages by `id` when a wire brings them back."""

    def __init__(self) -> None:
        self.id = ids.secret(60)
        self._local = MemoryDoorbell()
        self._lanes_moved = asyncio.Event()

    def ring(self, *topics: str) -> None:
        """Strike local bells for what rang in this process."""
        self._local.ring(*topics)

    def ring_all(self) -> None:
        """Strike every bell once: nobody knows what rang meanwhile."""
        self._local.ring(*self._local.topics)

    def hear(self, text: str | bytes) -> bool:
        """Strike local bells for a message from the wire; False where it cannot be read."""
        try:
            heard = message.read(text)
        except message.NotAMessage:
            # Without its content, which may be anybody's.
            _log.warning("doorbell message cannot be read; ignored", bytes=len(text))
            return False
        if heard.sender != self.id:
            self._local.ring(*heard.topics)
        return True

    @contextmanager
    def listen(self, *topics: str) -> Iterator[MemoryBell]:
        """Open a bell for `topics`."""
        try:
            with self._local.listen(*topics) as bell:
                self._note_lanes(topics)
                yield bell
        finally:
            self._note_lanes(topics)

    def _note_lanes(self, topics: tuple[str, ...]) -> None:
        if any(topic.startswith(_LANE) for topic in topics):
            self._lanes_moved.set()

    def lanes(self) -> frozenset[str]:
        """Return the names of the lanes that somebody here listens to."""
        return frozenset(
            topic.removeprefix(_LANE) for topic in self._local.topics if topic.startswith(_LANE)
        )

    async def lanes_other_than(self, known: frozenset[str]) -> frozenset[str]:
        """Return the lanes listened to as soon as they differ from `known`. For one caller."""
        while (lanes := self.lanes()) == known:
            self._lanes_moved.clear()
            await self._lanes_moved.wait()
        return lanes
