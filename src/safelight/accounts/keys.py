"""Issues, lists, rotates and revokes API keys."""

from dataclasses import dataclass, field
from datetime import timedelta

from safelight import audit
from safelight.accounts import key_store
from safelight.accounts.account import Credential, Key, new_secret
from safelight.accounts.authentication import Authenticator
from safelight.accounts.errors import KeyEnded, TooManyKeys
from safelight.accounts.key_store import NewKey
from safelight.accounts.scopes import MEMBER_SCOPES, Scopes
from safelight.audit import NewLine
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound

MOST_KEYS = 1_000  # valid ones, per account


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key with its secret, which cannot be retrieved again."""

    key: Key
    secret: str = field(repr=False)


class Keys:
    """The API keys of all accounts."""

    def __init__(self, database: Database, authenticator: Authenticator) -> None:
        self._db = database
        self._authenticator = authenticator

    async def create(
        self,
        account_id: str,
        name: str,
        *,
        scopes: Scopes = MEMBER_SCOPES,
        valid_for: timedelta | None = None,
        rate_per_s: float | None = None,
        actor: str = "",
    ) -> Issued:
        """Create an API key; raise `TooManyKeys`. `actor` is the key id of its maker, if any."""
        secret = new_secret(Credential.KEY)

        def write(tx: Connection) -> Key:
            if key_store.count(tx, account_id) >= MOST_KEYS:
                raise TooManyKeys(f"An account has at most {MOST_KEYS} keys. Revoke unused ones.")
            key = key_store.insert(
                tx, NewKey(account_id, Credential.KEY, name, secret, scopes, valid_for, rate_per_s)
            )
            audit.append(tx, [_line(key, actor, "key.created")])
            return key

        return Issued(await self._db.write(write), secret)

    async def page(self, account_id: str, *, before: str | None, limit: int) -> list[Key]:
        """Return up to `limit` keys older than id `before`, newest first, ended ones included."""
        return await self._db.read(
            lambda tx: key_store.page(tx, account_id, before=before, limit=limit)
        )

    async def get(self, account_id: str, key_id: str) -> Key:
        """Return one key; raise `NotFound`."""
        key = await self._db.read(lambda tx: key_store.find(tx, account_id, key_id))
        if key is None:
            raise NotFound("There is no such key.")
        return key

    async def rotate(
        self, account_id: str, key_id: str, *, overlap: timedelta, actor: str
    ) -> Issued:
        """Replace a key by one with the same rights and lifetime; the old one ends after `overlap`.

        Raise `NotFound`, or `KeyEnded` if it was revoked or has expired.
        """
        secret = new_secret(Credential.KEY)

        def write(tx: Connection) -> Key | None:
            old = key_store.find(tx, account_id, key_id)
            if old is None:
                return None
            if not key_store.expire(tx, key_id, overlap):
                raise KeyEnded("The key was revoked or has expired. Create a new one.")
            key = key_store.insert(tx, NewKey.like(old, secret))
            audit.append(tx, [_line(old, actor, "key.rotated", replaced_by=key.id)])
            return key

        key = await self._db.write(write)
        if key is None:
            raise NotFound("There is no such key.")
        self._authenticator.forget(key_id)
        return Issued(key, secret)

    async def revoke(self, account_id: str, key_id: str, *, actor: str) -> None:
        """Revoke a key now; revoking it again does nothing. Raise `NotFound`."""

        def write(tx: Connection) -> bool:
            key = key_store.find(tx, account_id, key_id)
            if key is not None and key_store.revoke(tx, key_id):
                audit.append(tx, [_line(key, actor, "key.revoked")])
            return key is not None

        if not await self._db.write(write):
            raise NotFound("There is no such key.")
        self._authenticator.forget(key_id)


def _line(key: Key, actor: str, action: str, **data: str) -> NewLine:
    said = {"name": key.name, "hint": key.hint, "scopes": sorted(key.scopes)}
    return NewLine(key.account_id, actor or key.id, action, key.id, said | data)
