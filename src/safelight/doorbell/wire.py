"""What a plug brings to reach other processes: a wire, and a line for as long as it holds."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn, Protocol

from safelight import telemetry
from safelight.doorbell.ears import Ears

_log = telemetry.logger(__name__)

DEADLINE_S = 5.0  # of every call that is not a long poll
_CLOSE_S = 0.4  # a server that hangs must not hold up a process that stops


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often a wire is used at most, and at least."""

    pace: timedelta = timedelta(milliseconds=10)  # between two sends
    probe_every: timedelta = timedelta(seconds=3)  # when there is nothing to send


class Line(Protocol):
    """A connection that holds. Whatever its calls raise means that it is lost.

    `send` and `probe` come from one task and `hear` from another.
    """

    async def send(self, topics: Sequence[str]) -> None:
        """Tell the other processes, in as few messages as hold `topics`."""
        ...

    async def probe(self) -> None:
        """Make sure that the server still answers."""
        ...

    async def hear(self) -> NoReturn:
        """Bring what others send to this process's ears until the line is lost."""
        ...

    async def check(self) -> None:
        """Raise DoorbellSilent while the server answers but lets some rings fall."""
        ...


class Wire(Protocol):
    """Makes lines to one server."""

    name: str
    rhythm: Rhythm

    def connect(self, ears: Ears) -> AbstractAsyncContextManager[Line]:
        """Open a line that brings rings to `ears`, and close it within a second."""
        ...


@asynccontextmanager
async def closing() -> AsyncIterator[None]:
    """Give farewells a moment; the other end may be long gone."""
    try:
        async with asyncio.timeout(_CLOSE_S):
            yield
    except Exception as error:  # noqa: BLE001  the connection is given up in any case
        _log.debug("doorbell line did not close in order", error=type(error).__name__)


def obey_cancel() -> None:
    """Raise CancelledError where a library has swallowed it.

    `asyncio.wait_for` of Python 3.11, which libraries use, does so when what it waits for ends at
    the same moment. A loop that calls libraries asks here each time round.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
