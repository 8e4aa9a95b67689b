"""Knows which accounts are suspended or deleted, for requests that come without a credential."""

import time

from safelight import telemetry
from safelight.accounts import store
from safelight.accounts.errors import AccountSuspended
from safelight.db.engine import Database
from safelight.errors import NotFound, ServiceError

_KNOWN_S = 5.0

_log = telemetry.logger(__name__)


class ClosedAccounts:
    """The closed accounts, read again after 5 s, so that a file's request costs no query."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._known: dict[str, bool] | None = None  # whether each is deleted
        self._until = float("-inf")  # of the monotonic clock

    async def check_open(self, account_id: str) -> None:
        """Raise `AccountSuspended`, without its reason, or `NotFound` for a deleted account."""
        known = await self._current()
        if account_id in known:
            if known[account_id]:
                raise NotFound
            raise AccountSuspended("The account of this file is suspended.")

    def forget(self) -> None:
        """Read them again at the next use, because one changed."""
        self._until = float("-inf")

    async def _current(self) -> dict[str, bool]:
        if self._known is not None and time.monotonic() < self._until:
            return self._known
        self._until = time.monotonic() + _KNOWN_S  # first: others need not ask too
        try:
            self._known = await self._db.look(store.closed)
        except ServiceError as error:
            if self._known is None:
                self.forget()
                raise
            _log.warning("closed accounts not read; those known are kept", error=error.detail)
        return self._known
