"""Authenticates secrets, with a short cache, and records when each credential was last used."""

import time
from dataclasses import dataclass

from safelight.accounts import key_store
from safelight.accounts.account import MAX_KEY_LENGTH, Caller, Credential, hash_secret
from safelight.accounts.errors import Unauthenticated
from safelight.db.engine import Database

_KNOWN_S = 1.0
_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    until: float  # of the monotonic clock


class Authenticator:
    """The credentials that this process has seen.

    A lookup is good for a second, so that a busy client does not cost a query per request. A key
    revoked by another process works for that long.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._known: dict[bytes, _Known] = {}  # by hash
        self._used: dict[str, str] = {}  # addresses by key id, since the last `record_use`

    async def authenticate(
        self, secret: str, kind: Credential = Credential.KEY, *, address: str = ""
    ) -> Caller:
        """Return the caller authenticated by `secret`; raise `Unauthenticated` if it is invalid.

        A valid secret of another kind is refused like an unknown one. `address` is the caller's.
        """
        if not secret.startswith(kind) or len(secret) > MAX_KEY_LENGTH:
            raise Unauthenticated
        return await self._caller(hash_secret(secret), address)

    async def _caller(self, digest: bytes, address: str) -> Caller:
        known = self._known.get(digest)
        if known is not None and time.monotonic() < known.until:
            return known.caller
        self._known.pop(digest, None)
        found = await self._db.read(lambda tx: key_store.find_caller(tx, digest))
        if found is None:
            raise Unauthenticated("The credential is unknown, expired or revoked.")
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[digest] = _Known(found.caller, time.monotonic() + _KNOWN_S)
        if found.use_is_old and len(self._used) < _MOST_KNOWN:
            self._used[found.caller.key_id] = address
        return found.caller

    async def is_valid(self, key_id: str) -> bool:
        """Return whether a credential that was valid still is: for streams that stay open."""
        return await self._db.read(lambda tx: key_store.is_valid(tx, key_id))

    def forget(self, key_id: str) -> None:
        """Look the credential up again at its next use, because it changed."""
        self._known = {
            digest: known for digest, known in self._known.items() if known.caller.key_id != key_id
        }

    def forget_person(self, user_id: str) -> None:
        """Look all credentials of a person up again, because the person's rights changed."""
        self._known = {
            digest: known
            for digest, known in self._known.items()
            if known.caller.user_id != user_id
        }

    async def record_use(self) -> None:
        """Store when and from where the credentials seen since the last call were used."""
        used, self._used = self._used, {}
        if used:
            await self._db.write(lambda tx: key_store.record_use(tx, used))
