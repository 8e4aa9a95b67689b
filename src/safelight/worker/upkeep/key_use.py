"""Stores when each credential was last used, as the API of this process saw it."""

import asyncio
from dataclasses import dataclass

from safelight import telemetry
from safelight.accounts.authentication import Authenticator
from safelight.worker.rounds import guarded

_log = telemetry.logger(__name__)
_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Writes the uses of many requests at once, off their path, until canceled."""

    authenticator: Authenticator

    async def run(self) -> None:
        """Write every 10 s; what an outage loses is seen again with the next request."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await guarded(self.authenticator.record_use, _log)
