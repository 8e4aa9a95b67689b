"""Appends the events of jobs and batches, and finishes a batch with its last job."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight import events, telemetry
from safelight.db.tables import (
    batches,
    jobs,
)
from safelight.db.types import now
from safelight.events import NewEvent
from safelight.jobs.job import (
    EVENT_OF,
    FINAL,
    Batch,
    Job,
    JobStatus,
    Move,
)
from safelight.jobs.ledger.rows import to_batch
from safelight.json_object import JsonObject

_NONE: Mapping[str, str] = {}


def count(move: Move, moved: Sequence[Job]) -> None:
    for job in moved:
        telemetry.MOVES.labels(move, job.kind).inc()


def tell_started(tx: Connection, claimed: Sequence[Job]) -> None:
    """Append the events of claims; the claims themselves are in claims.py."""
    tell(tx, claimed, EVENT_OF[Move.CLAIM])
    count(Move.CLAIM, claimed)


def tell(
    tx: Connection,
    moved: Sequence[Job],
    kind: str,
    *,
    error: Mapping[str, Any] | None = None,
    previews: Mapping[str, str] = _NONE,
) -> None:
    """Append an event for each job; `previews` are small pictures of unfinished work, by job id."""
    events.append(
        tx,
        [
            NewEvent(
                account_id=job.account_id,
                subject=job.id,
                batch_id=job.batch_id,
                seq=job.seq,
                type="job.waiting" if job.status is JobStatus.WAITING else kind,
                data=_news(job, error, previews.get(job.id, "")),
            )
            for job in moved
        ],
    )


def _news(job: Job, error: Mapping[str, Any] | None, preview: str) -> JsonObject:
    data: JsonObject = {
        "status": "running" if job.status is JobStatus.WAITING else job.status.value,
        "stage": job.stage,
        "progress": job.progress,
    }
    if job.batch_id:
        data |= {"index": job.batch_index, "name": job.name}
    if error:
        data["error"] = dict(error)
    if preview:
        data["preview"] = preview
    return data


def finish_batches(tx: Connection, batch_ids: set[str]) -> None:
    """Finish batches whose last job has ended, exactly once each."""
    for batch_id in sorted(batch_ids):
        # The lock serializes the last two jobs of a batch if they end at once. `key_share` allows
        # the foreign key checks of jobs, which would deadlock otherwise.
        locked = sa.select(batches.c.id).where(batches.c.id == batch_id)
        tx.execute(locked.with_for_update(key_share=True))
        unfinished = sa.exists().where(jobs.c.batch_id == batch_id, jobs.c.status.not_in(FINAL))
        row = (
            tx.execute(
                sa.update(batches)
                .where(batches.c.id == batch_id, batches.c.finished_at.is_(None), ~unfinished)
                .values(finished_at=now(), seq=batches.c.seq + 1)
                .returning(batches)
            )
            .mappings()
            .one_or_none()
        )
        if row is not None:
            events.append(tx, [batch_event(to_batch(row), "batch.finished")])


def finish_if_empty(tx: Connection, batch_id: str) -> None:
    """Finish a batch without any jobs."""
    finish_batches(tx, {batch_id})


def batch_event(batch: Batch, kind: str) -> NewEvent:
    return NewEvent(
        account_id=batch.account_id,
        subject=batch.id,
        batch_id=batch.id,
        seq=batch.seq,
        type=kind,
        data={"name": batch.name},
    )
