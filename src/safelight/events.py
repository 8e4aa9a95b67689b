"""The event log: appended in the transaction of the change, and read by every stream."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Insert, RowMapping

from safelight import ids
from safelight.db.json_rows import JsonRows
from safelight.db.rows import from_row
from safelight.db.tables import HEARING, UNTOLD, contacts, endpoints, events
from safelight.db.types import now
from safelight.db.walks import among
from safelight.json_object import JsonObject

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
        "asset.restored",
        "delivery.disabled",
        "provider.degraded",
        "provider.recovered",
    }
)

_PAGE = 500
_SUBJECTS = 200  # per query: each is a term of it, and SQLite allows a thousand


@dataclass(frozen=True, slots=True)
class Event:
    """An event. `seq` counts the events of a subject from 1, without gaps."""

    id: str
    account_id: str
    subject: str
    batch_id: str | None
    seq: int
    type: str
    data: JsonObject
    created_at: datetime

    def document(self) -> JsonObject:
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
    """An event to append; the subject's own row assigns `seq`."""

    account_id: str
    subject: str
    seq: int
    type: str
    data: Mapping[str, Any]
    batch_id: str | None = None


_SILENT = "job.progress"  # only for streams, never delivered
_NEW = JsonRows(
    id=sa.Text,
    account_id=sa.Text,
    subject=sa.Text,
    batch_id=sa.Text,
    seq=sa.Integer,
    type=sa.Text,
    data=sa.JSON,
)


def append(tx: Connection, new: Sequence[NewEvent]) -> None:
    """Append `new` in one statement."""
    if not new:
        return
    rows = (
        {
            "id": ids.new("event"),
            "account_id": event.account_id,
            "subject": event.subject,
            "batch_id": event.batch_id,
            "seq": event.seq,
            "type": _known(event.type),
            "data": event.data,
        }
        for event in new
    )
    tx.execute(_append_statement(tx.dialect.name), _NEW.bind(tx, rows))


@cache
def _append_statement(dialect: str) -> Insert:
    row = _NEW.table(dialect)
    wanted = sa.or_(
        sa.exists().where(
            endpoints.c.account_id == row.c.account_id, endpoints.c.disabled_at.is_(None)
        ),
        sa.exists().where(HEARING, contacts.c.account_id == row.c.account_id),
    )
    columns = {
        **{column.name: column for column in row.c},
        "created_at": now(),
        "told": sa.or_(row.c.type == _SILENT, ~wanted),
    }
    return sa.insert(events).from_select(list(columns), sa.select(*columns.values()))


def last_seq(tx: Connection, subject: str) -> int:
    """Return the `seq` of a subject's last event, for subjects without a counter in a row."""
    return tx.scalar(sa.select(sa.func.max(events.c.seq)).where(events.c.subject == subject)) or 0


def beyond(tx: Connection, heads: Mapping[str, int]) -> list[Event]:
    """Return the events of each subject after the given `seq`, oldest first.

    Returns only a part if there are many; call again for the rest.
    """
    if not heads:
        return []
    newer = [
        sa.and_(events.c.subject == subject, events.c.seq > seq)
        for subject, seq in islice(heads.items(), _SUBJECTS)
    ]
    # Ids created within one millisecond are unordered, so `seq` decides.
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
    """Return up to 500 events of a subject, or of a whole batch, after the given event.

    A batch's events with the same timestamp may be repeated. A subject's are ordered by `seq`,
    regardless of the clock.
    """
    match = events.c.subject == subject if subject else events.c.batch_id == batch_id
    column = events.c.seq if subject else events.c.created_at
    last = sa.select(column).where(match, events.c.id == last_event_id)
    query = (
        sa.select(events)
        .where(match, column >= last.scalar_subquery(), events.c.id != last_event_id)
        .order_by(column, events.c.seq)
        .limit(_PAGE)
    )
    return [_to_event(row) for row in tx.execute(query).mappings()]


def untold(tx: Connection, *, limit: int) -> list[Event]:
    """Lock and return the oldest events whose deliveries have not been created."""
    query = (
        sa.select(events)
        .where(UNTOLD)
        .order_by(events.c.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_to_event(row) for row in tx.execute(query).mappings()]


def mark_told(tx: Connection, told: Sequence[Event]) -> None:
    """Mark the deliveries of these events as created."""
    ids_told = [event.id for event in told]
    tx.execute(sa.update(events).where(events.c.id.in_(ids_told)).values(told=True))


def remove(tx: Connection, subjects: Collection[str]) -> None:
    """Remove all events of these subjects."""
    tx.execute(sa.delete(events).where(among(tx, events.c.subject, sorted(subjects))))


def _to_event(row: RowMapping) -> Event:
    return from_row(Event, {name: value for name, value in row.items() if name != "told"})


def _known(kind: str) -> str:
    if kind not in TYPES:
        raise ValueError(f"{kind!r} is not in the closed list of event types")
    return kind
