"""Feeds of jobs and batches for server-sent events."""

from collections.abc import Mapping, Sequence
from typing import Any

from safelight.events import Event
from safelight.ids import PREFIXES
from safelight.jobs.view import batch_document, batch_standing, job_document
from safelight.web.answers import batch_answer, job_answer
from safelight.web.services import Services
from safelight.web.streams.sse import Feed, Snapshot, Told

_FINAL_JOB = frozenset({"job.succeeded", "job.failed", "job.canceled"})


def feed_of(services: Services, account_id: str, subject: str) -> Feed:
    """Return the events of a job or batch, as its owner may see them."""
    kind = BatchFeed if subject.startswith(PREFIXES["batch"]) else JobFeed
    return kind(services, account_id, subject)


class _Feed:
    def __init__(self, services: Services, account_id: str, subject: str) -> None:
        self.subject = subject
        self._services = services
        self._account_id = account_id

    async def missed(self, last_event_id: str) -> Sequence[Event]:
        return await self._services.jobs.missed(self.subject, last_event_id)

    async def news(self, heads: Mapping[str, int]) -> tuple[Sequence[Event], bool]:
        return await self._services.jobs.news(self._account_id, self.subject, heads)

    async def _ending(self, event: Event) -> Mapping[str, Any]:
        """Return the whole job for its final event."""
        if event.type not in _FINAL_JOB:
            return {}
        return {"job": await job_answer(self._services, self._account_id, event.subject)}


class JobFeed(_Feed):
    """The feed of one job: each event, and only the newest progress."""

    async def snapshot(self) -> Snapshot:
        view = await self._services.jobs.view(self._account_id, self.subject)
        links = self._services.links
        document = job_document(view.job, view.outputs, links, place=view.place)
        return Snapshot(document, {view.job.id: view.job.seq}, view.job.is_final)

    async def tell(self, events: Sequence[Event]) -> Sequence[Told]:
        return [
            Told(event.type, _with(event, await self._ending(event)), event.id)
            for event in events
            if event.type != "job.progress" or event is events[-1]
        ]


class BatchFeed(_Feed):
    """The feed of a batch: all changes of its jobs since the last look are one event.

    So the number of events is bounded by the number of looks, not of jobs.
    """

    async def snapshot(self) -> Snapshot:
        view = await self._services.jobs.view_batch(self._account_id, self.subject)
        links = self._services.links
        document = batch_document(view.batch, view.jobs, view.outputs, links, places=view.places)
        heads = {job.id: job.seq for job in view.jobs} | {view.batch.id: view.batch.seq}
        return Snapshot(document, heads, view.batch.finished_at is not None)

    async def tell(self, events: Sequence[Event]) -> Sequence[Told]:
        newest = {event.subject: event for event in events if event.subject != self.subject}
        told = [await self._progress(list(newest.values()))] if newest else []
        own = [event for event in events if event.subject == self.subject]
        return told + [
            Told(event.type, _with(event, await self._finish(event)), event.id) for event in own
        ]

    async def _progress(self, newest: Sequence[Event]) -> Told:
        tally = await self._services.batches.tally(self._account_id, self.subject)
        last = max(newest, key=lambda event: event.id)
        items = [
            {
                "job_id": event.subject,
                "event": event.type,
                **event.data,
                **await self._ending(event),
            }
            for event in newest
        ]
        document = last.document() | {
            "type": "batch.progress",
            "seq": None,
            "subject": self.subject,
            "data": {**batch_standing(tally), "items": items},
        }
        return Told("batch.progress", document, last.id)

    async def _finish(self, event: Event) -> Mapping[str, Any]:
        if event.type != "batch.finished":
            return {}
        return {"batch": await batch_answer(self._services, self._account_id, self.subject)}


def _with(event: Event, more: Mapping[str, Any]) -> Mapping[str, Any]:
    return event.document() | {"data": {**event.data, **more}}
