"""Removes what deleted accounts leave: their recipients, jobs, files, and at last their rows."""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

from safelight import telemetry
from safelight.accounts import key_store
from safelight.accounts import store as account_store
from safelight.assets.lifecycle.trash import Trash
from safelight.assets.service import Assets
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.doorbell import doorbell
from safelight.doorbell.doorbell import Doorbell
from safelight.identity import member_store
from safelight.jobs.job import Job, StaleJob
from safelight.jobs.ledger import departed, idempotency, moves
from safelight.jobs.topics import topics_of
from safelight.notifications import store as contact_store
from safelight.webhooks import endpoint_store

_PAGE = 200
_ACCOUNTS_AT_ONCE = 100
_BUDGET = timedelta(seconds=2)
_UPLOADS_END = timedelta(hours=1)  # a request that was under way may store its file until then

_log = telemetry.logger(__name__)

Step = Callable[[str], Awaitable[int]]
"""Removes some of an account's rows; returns how many, 0 when none is left that can go."""


class _Remove(Protocol):
    def __call__(self, tx: Connection, account_id: str, /, *, limit: int) -> int: ...


class Departures:
    """Clears deleted accounts. Any number can run; what one leaves, the next round finds.

    Recipients go first, so that nobody is told of the rest. A job whose provider has not confirmed
    its cancellation stays until it has, and its account's row with it.
    """

    def __init__(
        self,
        database: Database,
        bell: Doorbell,
        assets: Assets,
        trash: Trash,
        *,
        budget: timedelta = _BUDGET,
    ) -> None:
        """Begin nothing after `budget` is spent in a round; the next round continues."""
        self._db = database
        self._bell = bell
        self._budget_s = budget.total_seconds()
        self._steps: tuple[Step, ...] = (
            self._of(endpoint_store.remove),
            self._of(contact_store.remove),
            self._cancel,
            lambda account_id: assets.delete_all(account_id, limit=_PAGE),
            lambda account_id: trash.purge_all(account_id, limit=_PAGE),
            self._of(departed.remove_jobs),
            self._of(departed.remove_batches),
            self._of(idempotency.remove),
            self._of(key_store.remove),
            self._of(member_store.clear),
        )

    async def round(self) -> None:
        """Remove what can be removed of each deleted account, the longest deleted first."""
        end = time.monotonic() + self._budget_s
        for account_id in await self._db.read(
            lambda tx: account_store.leaving(tx, limit=_ACCOUNTS_AT_ONCE)
        ):
            for step in self._steps:
                while await step(account_id):
                    if time.monotonic() > end:
                        return
            if await self._db.write(
                lambda tx, account_id=account_id: account_store.remove(
                    tx, account_id, after=_UPLOADS_END
                )
            ):
                _log.info("removed a deleted account", account_id=account_id)

    def _of(self, remove: _Remove) -> Step:
        async def step(account_id: str) -> int:
            return await self._db.write(lambda tx: remove(tx, account_id, limit=_PAGE))

        return step

    async def _cancel(self, account_id: str) -> int:
        def write(tx: Connection) -> list[Job]:
            found = departed.unfinished(tx, account_id, limit=_PAGE)
            return [job for job in (_canceled(tx, job_id) for job_id in found) if job]

        canceled = await self._db.write(write)
        if canceled:
            self._bell.ring(doorbell.HALT, *topics_of(canceled))
        return len(canceled)


def _canceled(tx: Connection, job_id: str) -> Job | None:
    try:
        return moves.cancel(tx, job_id)
    except StaleJob:  # it has ended meanwhile
        return None
