"""The audit log: append-only, written in the transaction of the action."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from safelight import ids
from safelight.db.engine import Database
from safelight.db.rows import from_row
from safelight.db.tables import audit
from safelight.db.types import now
from safelight.db.walks import LOOKED_AT, Page, among, newest
from safelight.json_object import JsonObject

RETENTION = "retention"  # the actor of automatic deletions


@dataclass(frozen=True, slots=True)
class NewLine:
    """A line to append; `actor` is an API key's id, or `RETENTION`."""

    account_id: str
    actor: str
    action: str  # past tense, like event types
    subject: str
    data: Mapping[str, Any] = field(default_factory=JsonObject)


@dataclass(frozen=True, slots=True)
class Line:
    """A row of `audit`."""

    id: str
    account_id: str
    at: datetime
    actor: str
    action: str
    subject: str
    data: JsonObject


def append(tx: Connection, lines: Sequence[NewLine]) -> None:
    """Append lines, in the transaction of their actions."""
    if lines:
        rows = [
            {
                "id": ids.new("audit"),
                "account_id": line.account_id,
                "actor": line.actor,
                "action": line.action,
                "subject": line.subject,
                "data": dict(line.data),
            }
            for line in lines
        ]
        tx.execute(sa.insert(audit).values(at=now()), rows)


def page(
    tx: Connection,
    account_id: str,
    *,
    before: str | None,
    limit: int,
    subject: str | None = None,
    action: str | None = None,
) -> Page[Line]:
    """Return up to `limit` lines of an account older than id `before`, newest first.

    A filter by action scans `LOOKED_AT` lines: a page that is not the last may be shorter than
    `limit`.
    """
    columns: tuple[sa.Column[Any], ...] = (audit.c.account_id, audit.c.id)
    prefix = [account_id]
    if subject is not None:
        columns, prefix = (audit.c.subject, *columns), [subject, account_id]
    most = limit + 1 if action is None else LOOKED_AT
    looked_at = newest(tx, columns, [prefix], before=before, limit=most)
    query = sa.select(audit).where(among(tx, audit.c.id, looked_at))
    if action is not None:
        query = query.where(audit.c.action == action)
    query = query.order_by(audit.c.id.desc()).limit(limit + 1)
    found = [from_row(Line, row) for row in tx.execute(query).mappings()]
    if len(found) > limit:
        return Page(found[:limit], found[limit - 1].id)
    is_bounded = action is not None and len(looked_at) == LOOKED_AT
    return Page(found, looked_at[-1] if is_bounded else None)


class Audit:
    """Reads the log for an account."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def page(
        self,
        account_id: str,
        *,
        before: str | None,
        limit: int,
        subject: str | None = None,
        action: str | None = None,
    ) -> Page[Line]:
        """Return up to `limit` lines of an account older than id `before`, newest first."""
        return await self._db.read(
            lambda tx: page(
                tx, account_id, before=before, limit=limit, subject=subject, action=action
            )
        )
