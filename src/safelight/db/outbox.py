"""An outbox: a table of messages that are claimed with a lease, sent, and settled.

Delivery is at-least-once: a message whose sender dies is due again when its lease ends. Its
`claim_no` is the fencing token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Table
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.types import TypeEngine

from safelight.db.json_rows import JsonRows
from safelight.db.tables import PENDING
from safelight.db.types import Instant, clock, now
from safelight.db.walks import among

_PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of sending a message as claimed; a pending one is due again after `wait`."""

    id: str
    claim_no: int
    state: str
    error: str
    wait: timedelta
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Outbox:
    """The messages of `table`; `columns` are those that an outcome sets beside the usual ones."""

    def __init__(self, table: Table, **columns: type[TypeEngine[Any]]) -> None:
        self._table = table
        self._columns = columns
        self._given = JsonRows(
            id=sa.Text,
            claim_no=sa.Integer,
            state=sa.Text,
            error=sa.Text,
            due_at=Instant,
            finished_at=Instant,
            **columns,
        )
        self._settle_statement = cache(self._build_settle_statement)

    def due(self, *match: ColumnElement[bool], limit: int) -> sa.Select[str]:
        """Return the query for due messages that nobody else is claiming, the oldest first."""
        row = self._table.c
        return (
            sa.select(row.id)
            .where(PENDING, row.due_at <= now(), *match)
            .order_by(row.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )

    def claim_statement(self, chosen: sa.Select[str], lease: timedelta) -> ReturningUpdate[Any]:
        """Return the claim of the chosen messages: they are due again when the lease ends."""
        row = self._table.c
        return (
            sa.update(self._table)
            .where(row.id.in_(chosen))
            .values(due_at=now(lease), tries=row.tries + 1, claim_no=row.claim_no + 1)
            .returning(self._table)
        )

    def settle(self, tx: Connection, ended: Sequence[Settled]) -> set[str]:
        """Record outcomes; return the ids of those that nobody else has claimed meanwhile."""
        at = clock(tx)
        rows = (
            {
                "id": one.id,
                "claim_no": one.claim_no,
                "state": one.state,
                "error": one.error,
                "due_at": at + one.wait,
                "finished_at": None if one.state == _PENDING else at,
                **one.more,
            }
            for one in ended
        )
        given = self._given.bind(tx, rows)
        return set(tx.scalars(self._settle_statement(tx.dialect.name), given))

    def _build_settle_statement(self, dialect: str) -> ReturningUpdate[Any]:
        given, row = self._given.table(dialect), self._table.c
        changed = ("state", "error", "due_at", "finished_at", *self._columns)
        return (
            sa.update(self._table)
            .where(row.id == given.c.id, row.claim_no == given.c.claim_no, row.state == _PENDING)
            .values({name: given.c[name] for name in changed})
            .returning(row.id)
        )

    def forget(self, tx: Connection, *, kept: timedelta, limit: int) -> int:
        """Delete up to `limit` messages that ended longer than `kept` ago, the oldest first."""
        row = self._table.c
        old = (
            sa.select(row.id)
            .where(row.finished_at < now(-kept))
            .order_by(row.finished_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        ids = tx.scalars(old).all()
        return tx.execute(sa.delete(self._table).where(among(tx, row.id, ids))).rowcount
