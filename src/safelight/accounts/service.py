"""Creates the first account, issues keys, and authenticates callers."""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from safelight import audit
from safelight.accounts import store
from safelight.accounts.account import (
    MAX_KEY_LENGTH,
    OWNER_SCOPES,
    Account,
    Caller,
    Credential,
    Scope,
    hash_secret,
    hint,
    new_secret,
)
from safelight.accounts.errors import Unauthenticated
from safelight.audit import NewLine
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound

LOGIN_LINK_LASTS = timedelta(days=1)
SESSION_LASTS = timedelta(days=30)
_KNOWN_S = 1.0
_MOST_KNOWN = 10_000


class Accounts:
    """The accounts and keys of this installation."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._known: dict[bytes, tuple[Caller, float]] = {}  # by key hash, with expiry

    async def ensure_first(self, name: str) -> Account:
        """Return the first account, created if there is none."""

        def write(tx: Connection) -> Account:
            found = store.first_account(tx)
            if found is None:
                store.lock_accounts(tx)
                found = store.first_account(tx) or store.insert_account(tx, name)
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

    async def new_key(
        self,
        account_id: str,
        name: str,
        *,
        scopes: tuple[Scope, ...] = (Scope.READ, Scope.WRITE),
        valid_for: timedelta | None = None,
        kind: Credential = Credential.KEY,
    ) -> str:
        """Create a credential and return its secret, which cannot be retrieved again."""
        secret = new_secret(kind)
        await self._db.write(
            lambda tx: store.insert_key(
                tx,
                account_id=account_id,
                name=name,
                hint=hint(secret),
                digest=hash_secret(secret),
                scopes=scopes,
                valid_for=valid_for,
            )
        )
        return secret

    async def login_token(self, account_id: str) -> str:
        """Return the secret of a login link, which opens one session within a day."""
        return await self.new_key(
            account_id,
            "login link",
            scopes=(Scope.LOGIN,),
            valid_for=LOGIN_LINK_LASTS,
            kind=Credential.LOGIN,
        )

    async def authenticate(self, secret: str, kind: Credential = Credential.KEY) -> Caller:
        """Return the caller authenticated by `secret`; raise `Unauthenticated` if it is invalid.

        A valid secret of another kind is refused like an unknown one.

        The result is cached for a second, so that a busy client does not cost a query per request;
        a key revoked by another process works for that long.
        """
        if not secret.startswith(kind) or len(secret) > MAX_KEY_LENGTH:
            raise Unauthenticated
        digest = hash_secret(secret)
        caller, until = self._known.get(digest, (None, 0.0))
        if caller is None or time.monotonic() > until:
            caller = await self._db.read(lambda tx: store.find_caller(tx, digest))
            self._remember(digest, caller)
        if caller is None:
            raise Unauthenticated("The credential is unknown, expired or revoked.")
        return caller

    def _remember(self, digest: bytes, caller: Caller | None) -> None:
        self._known.pop(digest, None)
        if caller is None:
            return
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[digest] = caller, time.monotonic() + _KNOWN_S

    async def open_session(self, key: str) -> str:
        """Return the secret of a new browser session with the scopes of an API key."""
        caller = await self.authenticate(key)
        return await self._new_session(caller.account_id, tuple(sorted(caller.scopes)))

    async def redeem_login(self, token: str) -> str:
        """Use up a login link; return the secret of a new browser session of the owner."""
        if not token.startswith(Credential.LOGIN) or len(token) > MAX_KEY_LENGTH:
            raise Unauthenticated
        digest = hash_secret(token)
        account_id = await self._db.write(lambda tx: store.use_up_key(tx, digest))
        if account_id is None:
            raise Unauthenticated("The login link was used, or has expired.")
        return await self._new_session(account_id, OWNER_SCOPES)

    async def _new_session(self, account_id: str, scopes: tuple[Scope, ...]) -> str:
        return await self.new_key(
            account_id,
            "browser session",
            scopes=scopes,
            valid_for=SESSION_LASTS,
            kind=Credential.SESSION,
        )

    async def close_session(self, key_id: str) -> None:
        """End a browser session."""
        await self._db.write(lambda tx: store.revoke_key(tx, key_id))
        self._known = {
            digest: known for digest, known in self._known.items() if known[0].key_id != key_id
        }
