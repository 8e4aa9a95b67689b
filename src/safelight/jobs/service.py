"""Operations on jobs: read, cancel, redrive, delete.

Services never ring the doorbell: their callers do, after the commit.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from safelight import events, ids
from safelight.assets import store as asset_store
from safelight.assets.asset import Asset
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.service import Assets
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.db.walks import Page
from safelight.errors import NotFound, WrongState
from safelight.events import Event
from safelight.grouped import Grouped
from safelight.jobs.job import Attempt, Batch, Job, JobStatus, StaleJob, Standing
from safelight.jobs.ledger import attempts, batch_store, moves, store
from safelight.jobs.scheduling import presence
from safelight.jobs.view import QueuePlace

_COUNT_AHEAD = 1_000
_HISTORY = 20
_USUAL_S = 5.0  # that the usual duration of a model is not read again
_MOST_USUAL = 1_000


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with the data of its document."""

    job: Job
    outputs: list[Asset] = field(default_factory=list)
    place: QueuePlace = field(default_factory=QueuePlace)


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch with the data of its document."""

    batch: Batch
    jobs: list[Job]
    outputs: dict[str, list[Asset]]
    places: dict[str, QueuePlace]


class Jobs:
    """Jobs; every call names the requesting account."""

    def __init__(
        self,
        database: Database,
        assets: Assets,
        trash: Trash,
        *,
        slots: Mapping[str, int],
    ) -> None:
        self._db = database
        self._assets = assets
        self._trash = trash
        self._slots = slots
        self._usual: dict[str, tuple[float | None, float]] = {}  # seconds by model, and until when
        self._views = Grouped(self._read_views)
        self._news = Grouped(self._read_news)

    # --- look --------------------------------------------------------------------------------

    async def view(self, account_id: str, job_id: str) -> JobView:
        """Return a job with its outputs and place in the queue; raise `NotFound`."""
        view = await self._views((account_id, job_id))
        if view is None:
            raise _no_such_job()
        return view

    async def _read_views(self, wanted: Sequence[tuple[str, str]]) -> list[JobView | None]:
        def read(tx: Connection) -> list[JobView | None]:
            found = {
                name: JobView(job, outputs, self._place(tx, job))
                for name, (job, outputs) in store.with_outputs(tx, wanted).items()
            }
            return [found.get(name) for name in wanted]

        return await self._db.look(read)  # a place is an estimate, which may be of a moment later

    async def view_batch(self, account_id: str, batch_id: str) -> BatchView:
        """Return a batch with all its jobs and their outputs; raise `NotFound`."""

        def read(tx: Connection) -> BatchView:
            batch = batch_store.get(tx, account_id, batch_id)
            if batch is None:
                raise NotFound("There is no such batch.")
            found = batch_store.jobs_of(tx, batch_id)
            outputs = asset_store.of_jobs(tx, [job.id for job in found])
            return BatchView(batch, found, outputs, _stalled(tx, found))

        return await self._db.read(read)

    async def page(
        self,
        account_id: str,
        *,
        before: str | None,
        limit: int,
        equal: Mapping[str, Any],
        statuses: Sequence[JobStatus] = (),
    ) -> Page[JobView]:
        """Return the account's jobs with their outputs, newest first."""

        def read(tx: Connection) -> Page[JobView]:
            found = store.page(
                tx, account_id, before=before, limit=limit, equal=equal, statuses=statuses
            )
            outputs = asset_store.of_jobs(tx, [job.id for job in found.rows])
            stalled = _stalled(tx, found.rows)
            views = [
                JobView(job, outputs.get(job.id, []), stalled.get(job.id, QueuePlace()))
                for job in found.rows
            ]
            return Page(views, found.next)

        return await self._db.read(read)

    async def news(
        self, account_id: str, subject: str, seen: Mapping[str, int]
    ) -> tuple[list[Event], bool]:
        """Return a job's or batch's events after `seen`, and whether it is final after them."""
        if not subject.startswith(ids.PREFIXES["batch"]):
            return await self._news((account_id, subject, seen.get(subject, 0)))

        def read(tx: Connection) -> tuple[list[Event], bool]:
            batch = batch_store.get(tx, account_id, subject)
            heads = batch_store.heads(tx, batch_id=subject)
            final = batch is None or batch.finished_at is not None
            changed = {
                name: seen.get(name, 0) for name, seq in heads.items() if seq > seen.get(name, 0)
            }
            found = events.beyond(tx, changed)
            # A full page may not include the last event; then it is not the end yet.
            reached = {event.subject: event.seq for event in found}
            return found, final and all(heads[name] == reached.get(name) for name in changed)

        return await self._db.read(read)

    async def _read_news(
        self, asked: Sequence[tuple[str, str, int]]
    ) -> list[tuple[list[Event], bool]]:
        """Answer `news` of jobs, each asked about by an account with the `seq` that it has seen."""

        def read(tx: Connection) -> list[tuple[list[Event], bool]]:
            now = store.standings(tx, {job_id for _, job_id, _ in asked})
            oldest: dict[str, int] = {}
            for account_id, job_id, seen in asked:
                job = now.get(job_id)
                if job is not None and job.account_id == account_id and job.seq > seen:
                    oldest[job_id] = min(seen, oldest.get(job_id, seen))
            found = _all_beyond(tx, oldest, now)
            return [_told(now.get(each[1]), found, *each) for each in asked]

        return await self._db.read(read)

    async def marks(self, subjects: Collection[str]) -> dict[str, int]:
        """Return the sum of the newest `seq` of each job, or of a batch and its jobs.

        It changes with every event; what has been deleted has none.
        """

        def read(tx: Connection) -> dict[str, int]:
            batches = {each for each in subjects if each.startswith(ids.PREFIXES["batch"])}
            jobs = store.standings(tx, [each for each in subjects if each not in batches])
            of_batches = batch_store.marks(tx, batches) if batches else {}
            return {job_id: job.seq for job_id, job in jobs.items()} | of_batches

        return await self._db.look(read)

    async def missed(self, subject: str, last_event_id: str) -> list[Event]:
        """Return a job's or batch's events after the given event."""
        if subject.startswith(ids.PREFIXES["batch"]):
            return await self._db.read(lambda tx: events.after(tx, last_event_id, batch_id=subject))
        return await self._db.read(lambda tx: events.after(tx, last_event_id, subject=subject))

    async def attempts(self, account_id: str, job_id: str) -> list[Attempt]:
        """Return the attempts of a job."""

        def read(tx: Connection) -> list[Attempt]:
            _existing(store.get(tx, account_id, job_id))
            return attempts.of_job(tx, job_id)

        return await self._db.read(read)

    def _place(self, tx: Connection, job: Job) -> QueuePlace:
        if job.is_final:
            return QueuePlace()
        usual = self._usual_s(tx, job.model)
        if stalled := _stalled(tx, [job]):
            return stalled[job.id]
        if _is_in_line(job):
            ahead = store.ahead_of(tx, job, limit=_COUNT_AHEAD)
            rounds = ahead // max(self._slots.get(job.lane, 1), 1) + 1
            return QueuePlace(ahead, None if usual is None else round(usual * rounds, 1))
        if usual is None or job.status is JobStatus.QUEUED:
            return QueuePlace()
        return QueuePlace(None, round(usual * (1 - job.progress / 100), 1))

    def _usual_s(self, tx: Connection, model: str) -> float | None:
        """Return the median of a model's last durations, which is read again after a while."""
        usual, until = self._usual.get(model, (None, 0.0))
        if time.monotonic() >= until:
            past = sorted(store.recent_durations(tx, model, limit=_HISTORY))
            usual = past[len(past) // 2] if past else None
            if len(self._usual) >= _MOST_USUAL:
                self._usual.clear()
            self._usual[model] = usual, time.monotonic() + _USUAL_S
        return usual

    # --- change ------------------------------------------------------------------------------

    async def cancel(self, account_id: str, job_id: str) -> Job:
        """Cancel a job; raise `WrongState` if it has ended."""

        def write(tx: Connection) -> Job:
            job = _existing(store.get(tx, account_id, job_id))
            try:
                return moves.cancel(tx, job_id)
            except StaleJob:
                raise WrongState(f"The job has already {job.status.value}.") from None

        return await self._db.write(write)

    async def redrive(self, account_id: str, job_id: str) -> Job:
        """Requeue a failed or canceled job; raise `WrongState` for any other."""

        def write(tx: Connection) -> Job:
            job = _existing(store.get(tx, account_id, job_id))
            settle_by_person(tx, job)
            try:
                return moves.redrive(tx, job_id)
            except StaleJob:
                raise WrongState(
                    f"Only failed or canceled jobs can be redriven; this one is {job.status.value}."
                ) from None

        return await self._db.write(write)

    async def delete(
        self, account_id: str, job_id: str, *, actor: str, now: bool = False
    ) -> tuple[list[Asset], datetime | None]:
        """Delete a final job with its outputs; with `now`, they cannot be restored.

        Returns the outputs, and the time until which they can be restored. Raises `OnHold` if an
        output, or the account, is under legal hold.
        """

        def leaving(tx: Connection) -> list[Asset]:
            job = _existing(store.get(tx, account_id, job_id))
            if not job.is_final:
                raise WrongState("Cancel the job before you delete it.")
            asset_store.check_owners_free(tx, [account_id], lock=True)
            # The row is needed to cancel at the provider and to record the cost.
            settle_by_person(tx, job)
            return asset_store.of_jobs(tx, [job_id]).get(job_id, [])

        def write(tx: Connection) -> None:
            asset_store.delete(tx, leaving(tx), actor=actor)
            store.delete(tx, job_id)

        outputs = await self._db.write(leaving)
        until = None if now else await self._trash.keep_back(outputs, actor=actor)
        await self._db.write(write)
        await self._assets.sweep()
        return outputs, until


def _is_in_line(job: Job) -> bool:
    return job.status is JobStatus.QUEUED and job.ready


def _stalled(tx: Connection, jobs: Sequence[Job]) -> dict[str, QueuePlace]:
    """Return the places of those jobs that could start if a worker served their lane."""
    in_line = [job for job in jobs if _is_in_line(job)]
    served = presence.served(presence.all_known(tx)) if in_line else set[str]()
    return {
        job.id: QueuePlace(stage=f"no worker serves lane {job.lane}")
        for job in in_line
        if job.lane not in served
    }


def _all_beyond(
    tx: Connection, seen: Mapping[str, int], now: Mapping[str, Standing]
) -> dict[str, list[Event]]:
    """Return the events of each job after the `seq` that was seen, by page until there are none."""
    found: dict[str, list[Event]] = {}
    behind = dict(seen)
    while behind and (page := events.beyond(tx, behind)):
        for event in page:
            found.setdefault(event.subject, []).append(event)
            behind[event.subject] = event.seq
        behind = {job_id: seq for job_id, seq in behind.items() if seq < now[job_id].seq}
    return found


def _told(
    job: Standing | None,
    found: Mapping[str, Sequence[Event]],
    account_id: str,
    job_id: str,
    seen: int,
) -> tuple[list[Event], bool]:
    """Return one viewer's news: a job that is gone, or another account's, is final."""
    if job is None or job.account_id != account_id:
        return [], True
    news = [event for event in found.get(job_id, ()) if event.seq > seen]
    return news, job.is_final and job.seq == (news[-1].seq if news else seen)


def _existing(job: Job | None) -> Job:
    if job is None:
        raise _no_such_job()
    return job


def _no_such_job() -> NotFound:
    return NotFound("There is no such job.")


def settle_by_person(tx: Connection, job: Job) -> None:
    """Close a final job's open attempt by the decision of a person who redrives or deletes it.

    Raises `WrongState` if its provider has not been asked to cancel yet.
    """
    if job.is_final and attempts.close_by_person(tx, [job.id]):
        raise WrongState("The last attempt is still being settled; try again in a minute.")
