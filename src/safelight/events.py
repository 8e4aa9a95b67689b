"""The event log: appended in the transaction that made the thing happen, read by every stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

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
_SUBJECTS = 200  # a look: each is a term of one query, and SQLite takes a thousand


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


_APPENDING = sa.insert(events).values(created_at=now())


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
    tx.execute(_APPENDING, rows)


def beyond(tx: Connection, heads: Mapping[str, int]) -> list[Event]:
    """Return the events of each subject with a `seq` above the one given, oldest first.

    Returns part of them where there are many: what is left is found by the next call.
    """
    if not heads:
        return []
    newer = [
        sa.and_(events.c.subject == subject, events.c.seq > seq)
        for subject, seq in islice(heads.items(), _SUBJECTS)
    ]
    # Ids made within one millisecond have no order, so a subject's own count decides.
    query = (
        sa.select(events)
        .where(sa.or_(*newer))
        .order_by(events.c.created_at, events.c.seq)
        .limit(_PAGE)
    )
    return [_to_event(row) for row in tx.execute(query).mappings()]


def after(
    tx: Connection, last_event_id: str, *, subject: str | None = None, batch_id: str | None = None
) -> list[Event]:
    """Return up to 500 events of one subject, or a whole batch, that follow the one of that id.

    Those of the very same instant may come again.
    """
    match = events.c.subject == subject if subject else events.c.batch_id == batch_id
    last = sa.select(events.c.created_at).where(match, events.c.id == last_event_id)
    query = (
        sa.select(events)
        .where(
            match,
            events.c.created_at >= last.scalar_subquery(),
            events.c.id != last_event_id,
        )
        .order_by(events.c.created_at, events.c.seq)
        .limit(_PAGE)
    )
    return [_to_event(row) for row in tx.execute(query).mappings()]


def _to_event(row: RowMapping) -> Event:
    fields: dict[str, Any] = {**row}
    return Event(**fields)


def _known(kind: str) -> str:
    if kind not in TYPES:
        raise ValueError(f"{kind!r} is not in the closed list of event types")
    return kind
