"""Deletes old rows: pages of each kind in turn, within a time budget.

Each page is a short transaction over an index, on the database's clock.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from safelight import telemetry
from safelight.accounts import key_store
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.identity import member_store
from safelight.identity import store as user_store
from safelight.jobs.ledger import idempotency, old_rows
from safelight.jobs.ledger.old_rows import Mark, Swept
from safelight.notifications import store as notice_store
from safelight.webhooks import store as delivery_store

_log = telemetry.logger(__name__)

PAGE = 500
"""Rows per transaction."""

_IDEMPOTENCY_KEPT = timedelta(days=1)
_KEYS_KEPT = timedelta(days=30)
_DELIVERIES_KEPT = timedelta(days=30)
_BUDGET = timedelta(seconds=2)
_VAIN = 10  # pages without a deletable row, per kind and round

# Examines up to a limit of old rows after a mark, and deletes those it can.
Look = Callable[[Connection, Mark | None, int], Swept]


class _Forget(Protocol):
    """Deletes up to `limit` rows older than `kept`, and returns how many."""

    def __call__(self, tx: Connection, *, kept: timedelta, limit: int) -> int: ...


class _Sweep(Protocol):
    """Deletes what it can of the next `limit` rows older than `kept`."""

    def __call__(
        self, tx: Connection, *, kept: timedelta, after: Mark | None, limit: int
    ) -> Swept: ...


def looks(events_kept: timedelta | None, jobs_kept: timedelta | None) -> dict[str, Look]:
    """Return the deletion function for each kind of row; None keeps rows forever."""
    found = {
        "idempotency keys": _forgetting(idempotency.forget, _IDEMPOTENCY_KEPT),
        "API keys": _forgetting(key_store.forget, _KEYS_KEPT),
        "deliveries": _forgetting(delivery_store.OUTBOX.forget, _DELIVERIES_KEPT),
        "invitations": _forgetting(member_store.forget, _KEYS_KEPT),
        "user tokens": _forgetting(user_store.forget_tokens, timedelta()),
        "throttles": _forgetting(user_store.forget_throttles, timedelta()),
        "notices": _forgetting(notice_store.OUTBOX.forget, _DELIVERIES_KEPT),
    }
    if events_kept is not None:
        found["events"] = _sweeping(old_rows.sweep_events, events_kept)
    if jobs_kept is not None:
        found["jobs"] = _sweeping(old_rows.sweep_jobs, jobs_kept)
        found["batches"] = _sweeping(old_rows.sweep_batches, jobs_kept)
    return found


def _forgetting(forget: _Forget, kept: timedelta) -> Look:
    def look(tx: Connection, _: Mark | None, limit: int) -> Swept:
        removed = forget(tx, kept=kept, limit=limit)
        return Swept(removed, more=removed == limit, last=None)

    return look


def _sweeping(sweep: _Sweep, kept: timedelta) -> Look:
    return lambda tx, after, limit: sweep(tx, kept=kept, after=after, limit=limit)


@dataclass(slots=True)
class _Walk:
    """The progress through one kind of row; restarts at the end."""

    what: str
    look: Look
    mark: Mark | None = None


class Retention:
    """Applies the retention periods. Any number can run.

    Outputs of deleted jobs stay, because their URLs are permanent. Jobs must be kept longer than
    the idempotency keys that name them.
    """

    def __init__(
        self,
        database: Database,
        *,
        events_kept: timedelta | None,
        jobs_kept: timedelta | None,
        budget: timedelta = _BUDGET,
    ) -> None:
        """Start no page after `budget` is spent in a round; the next round continues."""
        self._db = database
        self._budget_s = budget.total_seconds()
        self._walks = [_Walk(*kind) for kind in looks(events_kept, jobs_kept).items()]

    async def round(self) -> None:
        """Delete old rows, each kind in turn; at least one page of each."""
        end = time.monotonic() + self._budget_s
        removed: Counter[str] = Counter()
        vain: Counter[str] = Counter()
        unfinished = self._walks
        while unfinished:
            going_on: list[_Walk] = []
            for walk in unfinished:
                swept = await self._look(walk)
                walk.mark = swept.last
                removed[walk.what] += swept.removed
                vain[walk.what] += not swept.removed
                if swept.more and vain[walk.what] < _VAIN:
                    going_on.append(walk)
            unfinished = going_on if time.monotonic() < end else []
        for what, count in removed.items():
            if count:
                _log.info("removed old rows", what=what, count=count)

    async def _look(self, walk: _Walk) -> Swept:
        return await self._db.write(lambda tx: walk.look(tx, walk.mark, PAGE))
