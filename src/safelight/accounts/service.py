"""Creates, reads and changes accounts."""

from collections.abc import Mapping
from typing import Any

from safelight import audit
from safelight.accounts import store
from safelight.accounts.account import Account
from safelight.audit import NewLine
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound


class Accounts:
    """The accounts of this installation."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def ensure_first(self, name: str) -> Account:
        """Return the first account that can run the installation, else the first of all.

        It is created if there is none.
        """

        def find(tx: Connection) -> Account | None:
            first = store.operator(tx)
            return None if first is None else store.get_account(tx, first)

        def write(tx: Connection) -> Account:
            found = find(tx)
            if found is None:
                store.lock_accounts(tx)
                found = find(tx) or store.insert_account(tx, name)
            return found

        return await self._db.write(write)

    async def get(self, account_id: str) -> Account:
        """Return an account; raise `NotFound`."""
        account = await self._db.read(lambda tx: store.get_account(tx, account_id))
        if account is None:
            raise NotFound("There is no such account.")
        return account

    async def change(self, account_id: str, values: Mapping[str, Any], *, actor: str) -> Account:
        """Set account-wide columns; raise `NotFound`."""
        line = NewLine(account_id, actor, "account.changed", account_id, values)

        def write(tx: Connection) -> Account | None:
            changed = store.change_account(tx, account_id, **values)
            if changed is not None:
                audit.append(tx, [line])
            return changed

        account = await self._db.write(write)
        if account is None:
            raise NotFound("There is no such account.")
        return account
