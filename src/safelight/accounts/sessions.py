"""Browser sessions, and the login links that open them."""

from datetime import timedelta

from safelight.accounts import key_store
from safelight.accounts.account import (
    MAX_KEY_LENGTH,
    Caller,
    Credential,
    hash_secret,
    new_secret,
)
from safelight.accounts.authentication import Authenticator
from safelight.accounts.errors import Unauthenticated
from safelight.accounts.key_store import NewKey
from safelight.accounts.scopes import Scopes
from safelight.db.engine import Database

LOGIN_LINK_LASTS = timedelta(days=1)
SESSION_LASTS = timedelta(days=30)


class Sessions:
    """The browser sessions of all accounts."""

    def __init__(self, database: Database, authenticator: Authenticator) -> None:
        self._db = database
        self._authenticator = authenticator

    async def login_token(
        self,
        account_id: str,
        scopes: Scopes,
        *,
        root_id: str | None = None,
        user_id: str | None = None,
    ) -> str:
        """Return the secret of a login link, which opens one session within a day.

        Both end with the API key `root_id`, if there is one. With `user_id` the session is that
        person's, like the one that made the link.
        """
        secret = new_secret(Credential.LOGIN)
        new = NewKey(
            account_id,
            Credential.LOGIN,
            "login link",
            secret,
            scopes,
            LOGIN_LINK_LASTS,
            parent_id=root_id,
            user_id=user_id,
        )
        await self._db.write(lambda tx: key_store.insert(tx, new))
        return secret

    async def open(self, key: str) -> str:
        """Return the secret of a new session with the scopes of an API key, which ends with it."""
        return await self.start(await self._authenticator.authenticate(key))

    async def redeem(self, token: str) -> str:
        """Use up a login link; return the secret of a new session with its scopes."""
        if not token.startswith(Credential.LOGIN) or len(token) > MAX_KEY_LENGTH:
            raise Unauthenticated
        digest = hash_secret(token)
        caller = await self._db.write(lambda tx: key_store.use_up(tx, digest))
        if caller is None:
            raise Unauthenticated("The login link was used, or has expired.")
        return await self.start(caller)

    async def start(self, caller: Caller) -> str:
        """Return the secret of a new session with the rights of an authenticated caller."""
        secret = new_secret(Credential.SESSION)
        new = NewKey(
            caller.account_id,
            Credential.SESSION,
            "browser session",
            secret,
            caller.scopes,
            SESSION_LASTS,
            parent_id=caller.root_id,
            user_id=caller.user_id,
        )
        await self._db.write(lambda tx: key_store.insert(tx, new))
        return secret

    async def end(self, secret: str) -> None:
        """End the session of a cookie, if it is one: another takes its place."""
        if secret.startswith(Credential.SESSION) and len(secret) <= MAX_KEY_LENGTH:
            digest = hash_secret(secret)
            ended = await self._db.write(lambda tx: key_store.use_up(tx, digest))
            if ended is not None:
                self._authenticator.forget(ended.key_id)

    async def close(self, key_id: str) -> None:
        """End a session."""
        await self._db.write(lambda tx: key_store.revoke(tx, key_id))
        self._authenticator.forget(key_id)
