"""Backs off from a store that fails, once for all who write to it. Pure but for the clock."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta

from safelight.storage.errors import StorageFailed

_FIRST_S = 1.0
_LONGEST_S = 60.0


class Pace:
    """The state of one store. After a failure one write at a time finds out whether it is back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rest_s = 0.0  # 0 while the store is well
        self._until = 0.0
        self._is_trying = False
        self._why = ""

    @contextmanager
    def write(self) -> Generator[None]:
        """Do one write inside; raise `StorageFailed` at once while the store is left alone."""
        tries = self._rest_s > 0
        if tries:
            left_s = self._until - self._clock()
            if left_s > 0 or self._is_trying:
                wait = timedelta(seconds=max(left_s, _FIRST_S))
                raise StorageFailed(self._why, retry_after=wait)
            self._is_trying = True
        try:
            yield
        except StorageFailed as error:
            self._fail(error)
            raise
        else:
            self._rest_s = 0.0
        finally:
            if tries:
                self._is_trying = False

    def _fail(self, error: StorageFailed) -> None:
        # Writes that began together fail together, and count once.
        if self._clock() >= self._until:
            self._rest_s = min(max(2 * self._rest_s, _FIRST_S), _LONGEST_S)
            self._until = self._clock() + self._rest_s
            self._why = error.detail
        error.retry_after = timedelta(seconds=max(self._until - self._clock(), _FIRST_S))
