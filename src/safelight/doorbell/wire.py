"""Interfaces of a plug: a wire to other processes, and a line while it is connected."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn, Protocol

from safelight import telemetry
from safelight.doorbell.ears import Ears

_log = telemetry.logger(__name__)

DEADLINE_S = 5.0  # for every call except long polls
_CLOSE_S = 0.4  # a hanging server must not delay shutdown


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Minimum pause between sends, and maximum time between probes."""

    pace: timedelta = timedelta(milliseconds=10)  # between two sends
    probe_every: timedelta = timedelta(seconds=3)  # when there is nothing to send


class Line(Protocol):
    """An open connection. Any exception from its methods means that it is lost.

    One task calls `send` and `probe`, another `hear`.
    """

    async def send(self, topics: Sequence[str]) -> None:
        """Send `topics` to the other processes, in as few messages as possible."""
        ...

    async def probe(self) -> None:
        """Check that the server still answers."""
        ...

    async def hear(self) -> NoReturn:
        """Pass incoming messages to this process's ears until the line is lost."""
        ...

    async def check(self) -> None:
        """Raise DoorbellSilent while the server answers but drops some rings."""
        ...


class Wire(Protocol):
    """Connects to one server."""

    name: str
    rhythm: Rhythm

    def connect(self, ears: Ears) -> AbstractAsyncContextManager[Line]:
        """Open a line that delivers rings to `ears`; closing it takes less than a second."""
        ...


@asynccontextmanager
async def closing() -> AsyncGenerator[None]:
    """Allow a short time for an orderly close; the other end may be gone."""
    try:
        async with asyncio.timeout(_CLOSE_S):
            yield
    except Exception as error:  # noqa: BLE001  the connection is closed in any case
        _log.debug("doorbell line did not close cleanly", error=type(error).__name__)


def obey_cancel() -> None:
    """Raise CancelledError if a library has swallowed it.

    In Python 3.11, `asyncio.wait_for`, which libraries use, swallows a cancellation that coincides
    with the result. Loops that call libraries check here on each iteration.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
