"""Tells the other processes that this one is alive, and what it does."""

import asyncio
import os
import platform
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from safelight import ids, telemetry
from safelight.db.engine import Database
from safelight.jobs.scheduling import presence
from safelight.jobs.scheduling.presence import Beat
from safelight.worker.rounds import OUTAGE, guarded

_log = telemetry.logger(__name__)
_LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Presence:
    """Renews the row of this process until canceled, then removes it."""

    database: Database
    roles: Collection[str]
    lanes: Mapping[str, int]
    version: str
    running: Callable[[], int]
    lease: timedelta
    id: str = field(default_factory=lambda: ids.new("worker"))

    async def run(self) -> None:
        """Renew at a third of the lease, so that two lost beats do not matter."""
        pause_s = min(self.lease.total_seconds() / 3, _LONGEST_PAUSE_S)
        try:
            while True:
                await guarded(self.beat, _log)
                await asyncio.sleep(pause_s)
        finally:
            with suppress(*OUTAGE):  # its lease ends
                await asyncio.shield(self.database.write(lambda tx: presence.leave(tx, self.id)))

    async def beat(self) -> None:
        """Renew the row once."""
        said = Beat(
            self.id,
            platform.node(),
            os.getpid(),
            sorted(self.roles),
            self.lanes,
            self.version,
            self.running(),
            self.lease,
        )
        await self.database.write(lambda tx: presence.beat(tx, said))
