"""Keeps what this process knows of credentials fresh, and stores when each was last used."""

import time
from dataclasses import dataclass
from datetime import timedelta

from safelight import telemetry
from safelight.accounts.authentication import Authenticator
from safelight.doorbell import doorbell
from safelight.doorbell.doorbell import Doorbell
from safelight.worker.rounds import guarded

_log = telemetry.logger(__name__)
_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Forgets credentials when some ended, and writes the uses of many requests at once."""

    authenticator: Authenticator
    bell: Doorbell

    async def run(self) -> None:
        """Write every 10 s; what an outage loses is seen again with the next request."""
        due = time.monotonic() + _EVERY_S
        with self.bell.listen(doorbell.CREDENTIALS) as ear:
            while True:
                left = timedelta(seconds=max(due - time.monotonic(), 0.0))
                if await ear.wait(left):
                    self.authenticator.forget_all()
                if time.monotonic() >= due:
                    await guarded(self.authenticator.record_use, _log)
                    due = time.monotonic() + _EVERY_S
