"""Looks after all streams, with two queries a round: what a lost ring would hide, and who may stay.

A ring wakes the streams of its subject at once. Besides, each round compares how far every followed
subject is with how far its viewers are, and wakes those that are behind; the others cost nothing.
It also ends the streams whose callers' credentials are no longer accepted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from safelight import telemetry
from safelight.accounts.account import Caller
from safelight.doorbell import doorbell
from safelight.doorbell.doorbell import Bell, Doorbell
from safelight.errors import SafelightError

_EVERY_S = 2.0
_PACE_S = 0.25  # at most four looks per second per viewer, however often it rings
_MOST = 500  # subjects or callers of one query

_log = telemetry.logger(__name__)


@dataclass(slots=True, eq=False)
class Viewer:
    """One stream. `mark` is how far it is: the sum of the `seq` that it has seen.

    `may_stay` until the caller's credential ends.
    """

    subject: str
    caller: Caller
    bell: Bell
    pace_s: float
    mark: int | None = None
    may_stay: bool = True
    _pause_s: float = 0.0

    async def wait(self, at_most: timedelta) -> bool:
        """Return whether there may be news, or the server stops, within `at_most`.

        Right after it did, the next news are waited for a moment, so that they come together.
        """
        await asyncio.sleep(self._pause_s)
        is_woken = bool(await self.bell.wait(at_most))
        self._pause_s = self.pace_s if is_woken else 0.0
        return is_woken

    def wake(self) -> None:
        """Let `wait` return."""
        self.bell.hear(doorbell.subject(self.subject))


class Watch:
    """The streams of this process.

    `marks` returns how far subjects are, as `Jobs.marks` does. `still_valid` returns which callers
    would be accepted now, as `Authenticator.still_valid` does.
    """

    def __init__(
        self,
        marks: Callable[[Collection[str]], Awaitable[Mapping[str, int]]],
        still_valid: Callable[[Collection[Caller]], Awaitable[Collection[Caller]]],
        bell: Doorbell,
        stopping: asyncio.Event,
        *,
        every_s: float = _EVERY_S,
        pace_s: float = _PACE_S,
    ) -> None:
        self._marks = marks
        self._still_valid = still_valid
        self._bell = bell
        self._stopping = stopping
        self._every_s = every_s
        self._pace_s = pace_s
        self._viewers: set[Viewer] = set()
        self._rounds: asyncio.Task[None] | None = None

    @contextmanager
    def follow(self, subject: str, caller: Caller) -> Generator[Viewer]:
        """Yield a viewer that is woken by news of a job or batch, and when it has to end."""
        with self._bell.listen(doorbell.subject(subject)) as bell:
            viewer = Viewer(subject, caller, bell, self._pace_s)
            self._viewers.add(viewer)
            if self._rounds is None:
                # Of no request; the last viewer ends it.
                self._rounds = asyncio.create_task(self._look(), context=Context())  # noqa: TID251
            try:
                yield viewer
            finally:
                self._viewers.discard(viewer)
                if not self._viewers:
                    self._rounds.cancel()
                    self._rounds = None

    async def _look(self) -> None:
        while not await self._stops_within(self._every_s):
            try:
                await self.round()
            except SafelightError as error:  # the next round makes up for it
                _log.warning("followed jobs not looked at", error=error.detail)
            except Exception:  # noqa: BLE001  a bug must not leave the streams without their net
                _log.exception("followed jobs not looked at")
        for viewer in self._viewers:
            viewer.wake()

    async def _stops_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    async def round(self) -> None:
        """Wake all viewers that may not stay, or are not as far as their subject."""
        await self._end_invalid(list(self._viewers))
        viewers = [viewer for viewer in self._viewers if viewer.mark is not None]
        subjects = iter({viewer.subject for viewer in viewers})
        marks: dict[str, int] = {}
        while part := list(islice(subjects, _MOST)):
            marks |= await self._marks(part)
        for viewer in viewers:
            # One that moved meanwhile is woken for nothing.
            if viewer.mark != marks.get(viewer.subject):
                viewer.wake()

    async def _end_invalid(self, viewers: Sequence[Viewer]) -> None:
        callers = iter({viewer.caller for viewer in viewers})
        while part := set(islice(callers, _MOST)):
            ended = part - set(await self._still_valid(part))
            for viewer in viewers:
                if viewer.caller in ended:
                    viewer.may_stay = False
                    viewer.wake()
