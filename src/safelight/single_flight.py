"""Does a piece of work once for all who ask for it while it is done."""

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
    """More pictures are wanted at once than can be made; `retry_after` says when to ask again."""

    code = "busy"
    title = "Too many pictures are being made at once"


class Once(Generic[Name, Result]):
    """At most `most` pieces of work, each under its name, under way or waiting in this process."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._running: dict[Name, asyncio.Task[Result]] = {}

    async def __call__(self, name: Name, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Return the result of `work`, or of whoever began the work of that name before.

        Callers that leave end nothing: the others, or the next, have use for the result. So `work`
        has a deadline of its own. Raises `Busy` where there is too much already.
        """
        running = self._running.get(name)
        if running is None:
            if len(self._running) >= self._most:
                raise Busy(retry_after=_COME_AGAIN)
            running = asyncio.create_task(work())  # noqa: TID251  no caller's scope may end it
            self._running[name] = running
            running.add_done_callback(partial(self._end, name))
        return await asyncio.shield(running)

    def _end(self, name: Name, done: asyncio.Task[Result]) -> None:
        del self._running[name]
        if not done.cancelled():
            done.exception()  # looked at, as everybody who asked may have left
