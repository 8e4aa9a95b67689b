"""A doorbell between processes: rings local bells at once, and sends over a wire."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import cast

from safelight import telemetry
from safelight.doorbell.ears import Ears
from safelight.doorbell.errors import DoorbellSilent
from safelight.doorbell.memory import MemoryBell
from safelight.doorbell.outbox import Outbox
from safelight.doorbell.wire import DEADLINE_S, Line, Wire, obey_cancel

_log = telemetry.logger(__name__)

_OPEN_S = 2.0  # to wait for the first connection attempt
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 10.0
_STEADY_S = 5.0  # a line that lasted this long resets the backoff
_FAREWELL_S = 0.25


class RelayDoorbell:
    """Rings locally, and batches rings for other processes; losing the wire only delays those."""

    def __init__(self, wire: Wire) -> None:
        self.name = wire.name
        self._wire = wire
        self._ears = Ears()
        self._outbox = Outbox()
        self._line: Line | None = None
        self._gained_at = 0.0
        self._closed = False
        self._said = asyncio.Event()  # the outbox is empty
        self._said.set()
        self._tried = asyncio.Event()
        self._trouble = ""  # what was logged about the current outage
        self._advice = ""

    def ring(self, *topics: str) -> None:
        self._ears.ring(*topics)
        self._outbox.add(topics)
        if len(self._outbox):
            self._said.clear()

    @contextmanager
    def listen(self, *topics: str) -> Generator[MemoryBell]:
        with self._ears.listen(*topics) as bell:
            yield bell

    async def check(self) -> None:
        """Raise DoorbellSilent while the line is lost, or the plug reports undelivered rings."""
        line = self._line
        if line is None:
            raise DoorbellSilent(self._advice or f"The {self.name} doorbell does not answer.")
        try:
            async with asyncio.timeout(DEADLINE_S):
                await line.check()
        except DoorbellSilent:
            raise
        except Exception as error:
            raise DoorbellSilent(f"The {self.name} doorbell does not answer.") from error

    async def first_try(self) -> None:
        """Wait for the first connection attempt, at most two seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_OPEN_S):
                await self._tried.wait()

    async def close(self) -> None:
        """Flush pending rings, if the server is quick, and do not reconnect.

        The last rings of a stopping worker tell others about the jobs it hands back.
        """
        self._closed = True
        line, self._line = self._line, None
        if line is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL_S):
                    await self._said.wait()

    async def run(self) -> None:
        """Keep a line to the server open until closed."""
        failures = 0
        while not self._closed:
            try:
                await self._hold_line()
            except Exception as error:  # noqa: BLE001  each library has its own errors
                failures = 0 if self._is_steady() else failures + 1
                self._lose(error)
            await asyncio.sleep(_delay_s(failures))

    async def _hold_line(self) -> None:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(DEADLINE_S):
                line = await stack.enter_async_context(self._wire.connect(self._ears))
            if self._closed:  # a library may have swallowed the cancellation
                return
            self._gain(line)
            async with asyncio.TaskGroup() as group:
                group.create_task(line.hear())
                group.create_task(self._send(line))

    async def _send(self, line: Line) -> None:
        """Send queued rings in batches, at once after a quiet period, and probe an idle line."""
        rhythm = self._wire.rhythm
        while True:
            obey_cancel()
            try:
                async with asyncio.timeout(rhythm.probe_every.total_seconds()):
                    await self._outbox.filled()
            except TimeoutError:
                async with asyncio.timeout(DEADLINE_S):
                    await line.probe()
                continue
            topics = self._outbox.take()
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await line.send(topics)
            except BaseException:
                self._outbox.add(topics)  # for the next line; duplicates are harmless
                raise
            if not len(self._outbox):
                self._said.set()
            await asyncio.sleep(rhythm.pace.total_seconds())

    def _gain(self, line: Line) -> None:
        self._line = line
        self._gained_at = time.monotonic()
        self._tried.set()
        if self._trouble:
            _log.info("doorbell is back", doorbell=self.name)
        self._trouble = self._advice = ""
        self._ears.ring_all()

    def _is_steady(self) -> bool:
        return self._line is not None and time.monotonic() - self._gained_at > _STEADY_S

    def _lose(self, error: Exception) -> None:
        """Log an outage once, and again if the plug can say how to fix it."""
        self._line = None
        self._tried.set()
        cause = _first(error)
        self._advice = cause.detail if isinstance(cause, DoorbellSilent) else ""
        trouble = self._advice or "away"
        if not self._trouble or (self._advice and trouble != self._trouble):
            _log.warning(
                "doorbell does not reach other processes; reconnecting",
                doorbell=self.name,
                error=f"{type(cause).__name__}: {cause}"[:300],
            )
            self._trouble = trouble


@asynccontextmanager
async def open_relay(wire: Wire) -> AsyncGenerator[RelayDoorbell]:
    """Run a doorbell on `wire` while the context is open."""
    relay = RelayDoorbell(wire)
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(relay.run())
        try:
            await relay.first_try()
            yield relay
        except Exception as error:  # noqa: BLE001  raised below, so that the group does not wrap it
            failure = error
        finally:
            await relay.close()
            keeper.cancel()
    if failure is not None:
        raise failure


def _first(error: Exception) -> Exception:
    if isinstance(error, ExceptionGroup):
        return _first(cast("ExceptionGroup[Exception]", error).exceptions[0])
    return error


def _delay_s(failures: int) -> float:
    """Return an exponential backoff with jitter, so that processes do not reconnect at once."""
    longest = min(_FIRST_DELAY_S * 2 ** min(failures, 10), _LONGEST_DELAY_S)
    return longest * random.uniform(0.5, 1)  # noqa: S311  spread, not secrecy
