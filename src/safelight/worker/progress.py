"""Writes how far an attempt is, at most once a second, while its provider works."""

import asyncio
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from safelight import telemetry
from safelight.db.engine import Database
from safelight.doorbell import doorbell
from safelight.doorbell.doorbell import Doorbell
from safelight.errors import SafelightError
from safelight.jobs import store
from safelight.jobs.job import Job, StaleJob
from safelight.jobs.store import Claim

_log = telemetry.logger(__name__)

_INTERVAL_S = 1.0


class ProgressWriter:
    """The `AttemptHandle` that a provider reports to. Only the latest word of each second is kept."""

    def __init__(
        self, database: Database, bell: Doorbell, job: Job, claim: Claim, attempt_id: str
    ) -> None:
        self.id = attempt_id
        self._db = database
        self._bell = bell
        self._job = job
        self._claim = claim
        self._latest: tuple[float, str] | None = None
        self._news = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def report(self, progress: float, stage: str) -> None:
        self._latest = (min(max(progress, 0.0), 100.0), stage[:200])
        self._news.set()

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write_all())  # noqa: TID251  ended in __aexit__
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])

    async def _write_all(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if self._latest is not None:
                percent, stage = self._latest
                await self._write(percent, stage)
            await asyncio.sleep(_INTERVAL_S)

    async def _write(self, percent: float, stage: str) -> None:
        try:
            await self._db.write(
                lambda tx: store.progress(tx, self._claim, percent=percent, stage=stage)
            )
        except StaleJob:
            return  # whoever moved the job rang; the worker lets go of it by itself
        except (SQLAlchemyError, SafelightError) as error:
            # The work matters more than word of it: the next report tries again.
            _log.warning("progress not written", error=str(error))
            return
        topics = [doorbell.subject(self._job.id)]
        if self._job.batch_id:
            topics.append(doorbell.subject(self._job.batch_id))
        self._bell.ring(*topics)
