"""The listeners of this process, for a wire to other processes."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from safelight import ids, telemetry
from safelight.doorbell import message
from safelight.doorbell.memory import MemoryBell, MemoryDoorbell

_log = telemetry.logger(__name__)

_LANE = "lane:"


class Ears:
    """Rings local bells; recognizes this process's own messages by `id` when a wire echoes them."""

    def __init__(self) -> None:
        self.id = ids.secret(60)
        self._local = MemoryDoorbell()
        self._lanes_moved = asyncio.Event()

    def ring(self, *topics: str) -> None:
        """Ring local bells for `topics`."""
        self._local.ring(*topics)

    def ring_all(self) -> None:
        """Ring every local bell, because rings may have been missed."""
        self._local.ring(*self._local.topics)

    def hear(self, text: str | bytes) -> bool:
        """Ring local bells for a message from the wire; return False if it is malformed."""
        try:
            heard = message.read(text)
        except message.NotAMessage:
            # Omit the content, which is untrusted.
            _log.warning("doorbell message cannot be read; ignored", bytes=len(text))
            return False
        if heard.sender != self.id:
            self._local.ring(*heard.topics)
        return True

    @contextmanager
    def listen(self, *topics: str) -> Generator[MemoryBell]:
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
        """Return the names of the lanes with a listener in this process."""
        return frozenset(
            topic.removeprefix(_LANE) for topic in self._local.topics if topic.startswith(_LANE)
        )

    async def lanes_other_than(self, known: frozenset[str]) -> frozenset[str]:
        """Return the lanes with listeners once they differ from `known`. For one caller."""
        while (lanes := self.lanes()) == known:
            self._lanes_moved.clear()
            await self._lanes_moved.wait()
        return lanes
