"""Asks a server again while it restarts or is too busy, so that long work outlives both."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

from safelight.cli.failure import Failure, Refused, Unreachable

T = TypeVar("T")

_LIMIT_S = 900.0
_FIRST_REST_S = 0.5
_MOST_REST_S = 5.0
_MOST_ASKED_S = 30.0  # of what a server may ask to wait
_SILENT_S = 2.0  # what passes sooner is not worth a line
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


class Patience:
    """Shared by the calls of one command: when an outage began, and whether it was reported."""

    def __init__(
        self,
        note: Callable[[str], None],
        *,
        limit_s: float = _LIMIT_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._note = note
        self._limit_s = limit_s
        self._sleep = sleep
        self._clock = clock
        self._since: float | None = None
        self._was_told = False

    async def call(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` returns, asked again while the server is only away or busy."""
        rest_s = _FIRST_REST_S
        while True:
            try:
                answer = await ask()
            except (Refused, Unreachable) as failure:
                if not _passes(failure):
                    raise
                self._wait_or_raise(failure)
                asked_s = failure.retry_after_s if isinstance(failure, Refused) else 0.0
                await self._sleep(max(rest_s, min(asked_s, _MOST_ASKED_S)))
                rest_s = min(rest_s * 2, _MOST_REST_S)
            else:
                if self._was_told:
                    self._note("The server answers again.")
                self._since, self._was_told = None, False
                return answer

    def _wait_or_raise(self, failure: Failure) -> None:
        now = self._clock()
        self._since = now if self._since is None else self._since
        if now - self._since > self._limit_s:
            raise failure
        if now - self._since > _SILENT_S and not self._was_told:
            self._was_told = True
            minutes = self._limit_s / 60
            self._note(f"{failure} Trying again for up to {minutes:.0f} min.")


def _passes(failure: Failure) -> bool:
    if not isinstance(failure, Refused):
        return True
    return failure.status in _PASSING or failure.status >= HTTPStatus.INTERNAL_SERVER_ERROR
