"""Remembers the result of a check for a while: probes come every few seconds, and it takes time."""

import time
from collections.abc import Awaitable, Callable

from safelight.errors import SafelightError

_WELL_S = 60.0
_UNWELL_S = 5.0


class Recent:
    """A check that is done again once its last result is old."""

    def __init__(
        self, check: Callable[[], Awaitable[None]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._check = check
        self._clock = clock
        self._until = float("-inf")
        self._error: SafelightError | None = None

    async def __call__(self) -> None:
        """Raise the error of the last check."""
        if self._clock() >= self._until:
            self._error = None
            try:
                await self._check()
            except SafelightError as error:
                self._error = error
            self._until = self._clock() + (_UNWELL_S if self._error else _WELL_S)
        if self._error is not None:
            raise self._error
