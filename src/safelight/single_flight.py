"""Single-flight: concurrent callers of the same work share one execution."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any, Generic, TypeVar

from safelight.errors import ServiceError

Name = TypeVar("Name")
Result = TypeVar("Result")

_COME_AGAIN = timedelta(seconds=2)


class Busy(ServiceError):
    """Too many pictures are requested at once; `retry_after` says when to retry."""

    code = "busy"
    title = "Too many pictures are requested at once"


class Once(Generic[Name, Result]):
    """At most `most` distinct pieces of work, by name, running or waiting in this process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: dict[Name, asyncio.Task[Result]] = {}

    async def __call__(self, name: Name, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Return the result of `work`, or of the running work with the same name.

        Canceling a caller does not cancel the work, because others may need the result; so `work`
        must have its own deadline. Raises `Busy` if the limit is reached.
        """
        running = self._running.get(name)
        if running is None:
            if len(self._running) >= self._most:
                raise Busy(retry_after=_COME_AGAIN)
            running = asyncio.create_task(work())  # noqa: TID251  must outlive its caller
            self._running[name] = running
            running.add_done_callback(partial(self._end, name))
        return await asyncio.shield(running)

    def _end(self, name: Name, done: asyncio.Task[Result]) -> None:
        del self._running[name]
        if not done.cancelled():
            done.exception()  # retrieved, because all callers may have left
