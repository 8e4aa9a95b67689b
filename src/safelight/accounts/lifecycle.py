"""Opens, suspends, resumes and deletes accounts, for the installation's operators."""

from collections.abc import Callable
from dataclasses import dataclass

from safelight import audit
from safelight.accounts import key_store, store
from safelight.accounts.account import Account, Caller, Credential, new_secret
from safelight.accounts.authentication import Authenticator
from safelight.accounts.errors import LastOperator
from safelight.accounts.key_store import NewKey
from safelight.accounts.keys import Issued
from safelight.accounts.scopes import ACCOUNT_SCOPES
from safelight.audit import NewLine
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.db.types import now
from safelight.errors import NotFound

_FIRST_KEY = "first key"


@dataclass(frozen=True, slots=True)
class Opened:
    """A new account with its first key, which may do everything in it."""

    account: Account
    issued: Issued


class Lifecycle:
    """The beginning and end of accounts.

    `check_free` raises `OnHold` if something of an account is under legal hold. Each change has a
    line in the account's audit log and in that of the operator who made it.
    """

    def __init__(
        self,
        database: Database,
        authenticator: Authenticator,
        check_free: Callable[[Connection, str], None],
    ) -> None:
        self._db = database
        self._authenticator = authenticator
        self._check_free = check_free

    async def page(self, *, before: str | None, limit: int) -> list[Account]:
        """Return up to `limit` accounts older than id `before`, newest first."""
        return await self._db.read(lambda tx: store.page(tx, before=before, limit=limit))

    async def open(self, name: str, *, max_in_flight: int | None, by: Caller) -> Opened:
        """Create an account with a key; its secret cannot be retrieved again."""
        secret = new_secret(Credential.KEY)

        def write(tx: Connection) -> Opened:
            account = store.insert_account(tx, name, max_in_flight=max_in_flight)
            new = NewKey(account.id, Credential.KEY, _FIRST_KEY, secret, ACCOUNT_SCOPES)
            key = key_store.insert(tx, new)
            _log(tx, account, "account.created", by, key=key.id)
            return Opened(account, Issued(key, secret))

        return await self._db.write(write)

    async def suspend(self, account_id: str, reason: str, *, by: Caller) -> Account:
        """Refuse all credentials of an account from now on; its running jobs end normally.

        Suspending it again changes the reason. Raise `NotFound` or `LastOperator`.
        """

        def write(tx: Connection) -> Account:
            account = self._ending(tx, account_id)
            at = account.suspended_at or now()
            changed = store.change_account(tx, account_id, suspended_at=at, suspended_for=reason)
            _log(tx, account, "account.suspended", by, reason=reason)
            return _existing(changed)

        changed = await self._db.write(write)
        self._authenticator.forget_account(account_id)
        return changed

    async def resume(self, account_id: str, *, by: Caller) -> Account:
        """End a suspension; resuming an open account changes nothing. Raise `NotFound`."""

        def write(tx: Connection) -> Account:
            account = _existing(store.get_account(tx, account_id))
            if account.suspended_at is None:
                return account
            changed = store.change_account(tx, account_id, suspended_at=None, suspended_for="")
            _log(tx, account, "account.resumed", by)
            return _existing(changed)

        return await self._db.write(write)

    async def delete(self, account_id: str, *, by: Caller) -> None:
        """End all access to an account now; the janitor removes its jobs and files.

        Raise `NotFound`, `LastOperator`, or `OnHold` if something of it is under legal hold.
        """

        def write(tx: Connection) -> None:
            account = self._ending(tx, account_id)
            self._check_free(tx, account_id)
            store.change_account(tx, account_id, deleted_at=now())
            _log(tx, account, "account.deleted", by)

        await self._db.write(write)
        self._authenticator.forget_account(account_id)

    def _ending(self, tx: Connection, account_id: str) -> Account:
        """Return an account that may end: one at a time, so that two do not end each other."""
        store.lock_accounts(tx)
        account = _existing(store.get_account(tx, account_id))
        if key_store.operators(tx) == {account_id}:
            raise LastOperator(
                "Create a key with the scope `admin:write` in another account first."
            )
        return account


def _existing(account: Account | None) -> Account:
    if account is None:
        raise NotFound("There is no such account.")
    return account


def _log(tx: Connection, account: Account, action: str, by: Caller, **data: str) -> None:
    said = {"name": account.name} | data
    readers = dict.fromkeys((account.id, by.account_id))
    audit.append(tx, [NewLine(each, by.key_id, action, account.id, said) for each in readers])
