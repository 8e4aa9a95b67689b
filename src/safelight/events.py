"""The event log: appended in the transaction that made the thing happen, read by every stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight import ids
from safelight.db.tables import events
from safelight.db.types import now

TYPES = frozenset(
    {
        "job.queued",
        "job.started",
        "job.waiting",
        "job.progress",
        "job.retrying",
        "job.succeeded",
        "job.failed",
        "job.canceled",
        "batch.created",
        "batch.finished",
        "asset.created",
        "asset.deleted",
    }
)

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `seq` counts the events of one subject from 1, without gaps."""

    id: str
    account_id: str
    subject: str
    batch_id: str | None
    seq: int
    type: str
    data: dict[str, Any]
    created_at: datetime

    def document(self) -> dict[str, Any]:
        """Return the public envelope."""
        return {
            "id": self.id,
            "type": self.type,
            "seq": self.seq,
            "account_id": self.account_id,
            "subject": self.subject,
            "data": self.data,
            "created_at": self.created_at,
        }


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event about to be appended; its `seq` was handed out by the subject's own row."""

    account_id: str
    subject: str
    seq: int
    type: str
    data: Mapping[str, Any]
    batch_id: str | None = None


def append(tx: Connection, new: Sequence[NewEvent]) -> None:
    """Write `new` in one statement."""
    if not new:
        return
    rows = [
        {
            "id": ids.new("event"),
            "account_id": event.account_id,
            "subject": event.subject,
            "batch_id": event.batch_id,
            "seq": event.seq,
            "type": _known(event.type),
            "data": dict(event.data),
        }
        for event in new
    ]
    tx.execute(sa.insert(events).values(created_at=now()), rows)


def of_subject(tx: Connection, subject: str, *, after: int) -> list[Event]:
    """Return up to 500 events of `subject` with a `seq` above `after`, in order."""
    query = (
        sa.select(events)
        .where(events.c.subject == subject, events.c.seq > after)
        .order_by(events.c.seq)
        .limit(_PAGE)
    )
    return [Event(**row) for row in tx.execute(query).mappings()]


def of_batch(tx: Connection, batch_id: str, *, after: str) -> list[Event]:
    """Return up to 500 events of a batch and its jobs with an id above `after`, oldest first.

    Ids are handed out before commit, so a reader that has seen id X may still find an older one
    later; readers look back a little and drop what they have seen (see delivery/stream.py).
    """
    query = (
        sa.select(events)
        .where(events.c.batch_id == batch_id, events.c.id > after)
        .order_by(events.c.id)
        .limit(_PAGE)
    )
    return [Event(**row) for row in tx.execute(query).mappings()]


def _known(kind: str) -> str:
    if kind not in TYPES:
        raise ValueError(f"{kind!r} is not in the closed list of event types")
    return kind
