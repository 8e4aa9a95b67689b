"""Writes an attempt's progress, at most once a second."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

from safelight import telemetry
from safelight.cpu import OutOfResources
from safelight.db import DatabaseError
from safelight.db.coalesced import Coalesced
from safelight.doorbell.doorbell import Doorbell
from safelight.errors import SafelightError
from safelight.jobs.job import Job, StaleJob
from safelight.jobs.ledger.moves import Progress
from safelight.jobs.topics import topics_of
from safelight.media.errors import MediaError
from safelight.providers.errors import ProviderError
from safelight.worker.attempt.run_state import Run

_log = telemetry.logger(__name__)

_AT_FIRST_S = 0.1  # faster work needs no progress report
_INTERVAL_S = 1.0
_LONGEST_STAGE = 200


def percent(progress: float) -> float:
    """Clamp a provider's progress to 0 to 100."""
    return min(max(progress, 0.0), 100.0) if math.isfinite(progress) else 0.0


def stage(words: str) -> str:
    """Return a provider's stage text, truncated and sanitized for storage."""
    return words.replace("\x00", "").encode(errors="replace").decode()[:_LONGEST_STAGE]


class ProgressWriter:
    """The `AttemptHandle` given to a provider; debounces its reports to one per second."""

    def __init__(
        self,
        write: Coalesced[Progress, Job],
        bell: Doorbell,
        run: Run,
        attempt_id: str,
        *,
        callback_url: str | None = None,
        news: bytes | None = None,
        glimpse: Callable[[Path], Awaitable[str]] | None = None,
    ) -> None:
        """`glimpse` renders a preview for an event; without it, events have no previews."""
        self.id = attempt_id
        self.callback_url = callback_url
        self.news = news
        self._write_down = write
        self._bell = bell
        self._run = run
        self._glimpse = glimpse
        self._latest: tuple[float, str, Path | None] | None = None
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        self._latest = (progress, stage, picture)
        self._news.set()
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all())  # noqa: TID251  ended in __aexit__

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is None:
            return
        try:
            # Let a write in progress finish; canceling it would cost its connection.
            await self._writing.acquire()
        finally:
            self._writer.cancel()

    async def _write_all(self) -> None:
        await asyncio.sleep(_AT_FIRST_S)
        while True:
            await self._news.wait()
            self._news.clear()
            if self._latest is not None:
                async with self._writing:
                    await self._write(*self._latest)
            await asyncio.sleep(_INTERVAL_S)

    async def _write(self, progress: float, words: str, picture: Path | None) -> None:
        try:
            preview = await self._preview(picture) if picture else ""
            said = Progress(self._run.claim, percent(progress), stage(words), preview)
            await self._write_down(said)
        except StaleJob:
            return  # the job was moved and its topics rung; the worker cancels this run
        except (DatabaseError, SafelightError, OSError) as error:
            # Progress is less important than the work; the next report retries.
            _log.warning("progress not written", error=str(error))
            return
        self._ring()

    async def _preview(self, picture: Path) -> str:
        """Return the picture's preview for an event, or an empty string if it is not ready."""
        try:
            return await self._glimpse(picture) if self._glimpse else ""
        except (ProviderError, OutOfResources, MediaError) as error:
            _log.info("preview not rendered", error=error.detail)
            return ""

    def _ring(self) -> None:
        self._bell.ring(*topics_of([self._run.job]))
