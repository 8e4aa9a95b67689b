"""Notices a database that has stopped answering, so that no caller waits for it for long.

A server that is frozen, or behind a broken network, keeps its connections open and answers
nothing. When work takes long and nothing else is answered, a probe asks the server for a sign of
life. Without one all waiting work ends with `ServiceError`, and new work is refused at once until
a later probe is answered. A slow query on a healthy server is left alone.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from safelight.errors import ServiceError

T = TypeVar("T")

_SLOW_S = 1.0  # after which work without any answer is suspicious
_TICK_S = 0.5
_PROBE_S = 0.75
_MOST_WAITING = 5_000
_AGAIN_AFTER = timedelta(seconds=2)
_CANCEL_S = 1.0  # for canceled work to roll back


class Pulse:
    """The state of one server. `probe` raises, or hangs, if it does not answer."""

    def __init__(self, probe: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._probe = probe
        self._answered_at = float("-inf")
        self._away = False
        self._ticks = False  # one timer, however often there is no work for a moment
        # By its task: what the caller waits for, and since when; the oldest is first.
        self._waiting: dict[asyncio.Task[Any], tuple[asyncio.Future[Any], float]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._probes: set[asyncio.Task[None]] = set()

    async def of(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`; raise `ServiceError` if the server is away."""
        if self._away or len(self._waiting) >= _MOST_WAITING:
            work.close()
            raise _no_answer()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        task = asyncio.create_task(work)  # noqa: TID251  its caller waits for it
        if not self._ticks:
            self._ticks = True
            loop.call_later(_TICK_S, self._tick)
        self._waiting[task] = (outcome, loop.time())
        task.add_done_callback(self._end)
        try:
            return await outcome
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task}, timeout=_CANCEL_S)
            raise

    async def close(self) -> None:
        """Stop probing."""
        pending = {*self._probes, *([self._watch] if self._watch else [])}
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=_CANCEL_S)

    def _end(self, task: "asyncio.Task[Any]") -> None:
        outcome, _ = self._waiting.pop(task, (None, 0.0))
        error = None if task.cancelled() else task.exception()
        # An error of the server is an answer as well; that of a lost connection is not.
        if not task.cancelled() and not isinstance(error, ServiceError):
            self._answered_at = asyncio.get_running_loop().time()
        if outcome is None or outcome.done():
            return
        if task.cancelled():
            outcome.cancel()
        elif error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(task.result())

    def _tick(self) -> None:
        """Start to probe if the oldest work is slow and nothing else was answered meanwhile."""
        if not self._waiting:
            self._ticks = False
            return
        loop = asyncio.get_running_loop()
        began = next(iter(self._waiting.values()))[1]
        if self._watch is None and loop.time() - max(began, self._answered_at) >= _SLOW_S:
            self._watch = asyncio.create_task(self._look())  # noqa: TID251  `close` ends it
        loop.call_later(_TICK_S, self._tick)

    async def _look(self) -> None:
        """Probe until the server answers; give up all work while it does not."""
        try:
            while not await self._is_alive():
                self._away = True
                for task, (outcome, _) in [*self._waiting.items()]:
                    # Its cleanup may hang as well, so nobody waits for that.
                    task.cancel()
                    if not outcome.done():
                        outcome.set_exception(_no_answer())
                self._waiting.clear()
                await asyncio.sleep(_TICK_S)
        finally:
            self._away = False
            self._watch = None

    async def _is_alive(self) -> bool:
        probe = asyncio.create_task(self._probe())  # noqa: TID251  `close` ends it
        self._probes.add(probe)
        probe.add_done_callback(self._forget)
        await asyncio.wait({probe}, timeout=_PROBE_S)
        alive = probe.done() and not probe.cancelled() and probe.exception() is None
        probe.cancel()
        return alive

    def _forget(self, probe: "asyncio.Task[None]") -> None:
        self._probes.discard(probe)
        if not probe.cancelled():
            probe.exception()  # retrieved, so that the loop does not report it


def _no_answer() -> ServiceError:
    return ServiceError("The database does not answer.", retry_after=_AGAIN_AFTER)
