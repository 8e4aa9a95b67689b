"""Lets a stream follow a job or a batch, in the shape that delivery/stream.py asks for."""

from collections.abc import Mapping, Sequence
from typing import Any

from safelight.delivery.stream import Snapshot
from safelight.doorbell import doorbell
from safelight.events import Event
from safelight.ids import PREFIXES
from safelight.jobs.view import batch_document, job_document
from safelight.web.answers import batch_answer, job_answer
from safelight.web.services import Services

_FINAL_JOB = frozenset({"job.succeeded", "job.failed", "job.canceled"})


class SubjectFeed:
    """One job, or one batch with its jobs, as its owner may see it."""

    def __init__(self, services: Services, account_id: str, subject: str) -> None:
        self.topic = doorbell.subject(subject)
        self._services = services
        self._account_id = account_id
        self._subject = subject
        self._is_batch = subject.startswith(PREFIXES["batch"])

    async def snapshot(self) -> Snapshot:
        base_url = self._services.public_url
        if self._is_batch:
            batch = await self._services.jobs.view_batch(self._account_id, self._subject)
            document = batch_document(batch.batch, batch.jobs, batch.outputs, base_url=base_url)
            heads = {job.id: job.seq for job in batch.jobs} | {batch.batch.id: batch.batch.seq}
            return Snapshot(document, heads, batch.batch.finished_at is not None)
        view = await self._services.jobs.view(self._account_id, self._subject)
        document = job_document(view.job, view.outputs, base_url=base_url, place=view.place)
        return Snapshot(document, {view.job.id: view.job.seq}, view.job.is_final)

    async def missed(self, last_event_id: str) -> Sequence[Event]:
        return await self._services.jobs.missed(self._subject, last_event_id)

    async def news(self, heads: Mapping[str, int]) -> tuple[Sequence[Event], bool]:
        return await self._services.jobs.news(self._account_id, self._subject, heads)

    async def describe(self, event: Event) -> Mapping[str, Any]:
        document = event.document()
        if event.type in _FINAL_JOB:
            whole = {"job": await job_answer(self._services, self._account_id, event.subject)}
        elif event.type == "batch.finished":
            whole = {"batch": await batch_answer(self._services, self._account_id, event.subject)}
        else:
            return document
        return document | {"data": {**event.data, **whole}}
