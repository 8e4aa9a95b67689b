"""Authenticates secrets, with a short cache, and records when each credential was last used."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from safelight.accounts import key_store
from safelight.accounts.account import MAX_KEY_LENGTH, Caller, Credential, hash_secret
from safelight.accounts.errors import AccountSuspended, Unauthenticated
from safelight.db import Connection
from safelight.db.engine import Database

_KNOWN_S = 5.0
_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    until: float  # of the monotonic clock


class Authenticator:
    """The credentials that this process has seen.

    A lookup is good for 5 s, so that a busy client does not cost a query per request. A process
    that changes a credential says so by `ring`, so that the others `forget_all`; if the ring is
    lost, the credential works there for those 5 s.
    """

    def __init__(self, database: Database, ring: Callable[[], None] = lambda: None) -> None:
        self._db = database
        self._ring = ring
        self._known: dict[bytes, _Known] = {}  # by hash
        self._forgets = 0  # a lookup that was under way at a change is not kept
        self._used: dict[str, str] = {}  # addresses by key id, since the last `record_use`

    async def authenticate(
        self, secret: str, kind: Credential = Credential.KEY, *, address: str = ""
    ) -> Caller:
        """Return the caller authenticated by `secret`.

        Raise `Unauthenticated` if it is invalid, and `AccountSuspended`. A valid secret of another
        kind is refused like an unknown one. `address` is the caller's.
        """
        if not secret.startswith(kind) or len(secret) > MAX_KEY_LENGTH:
            raise Unauthenticated
        return await self._caller(hash_secret(secret), address)

    async def _caller(self, digest: bytes, address: str) -> Caller:
        known = self._known.get(digest)
        if known is not None and time.monotonic() < known.until:
            return known.caller
        self._known.pop(digest, None)
        forgets = self._forgets
        found = await self._db.look(lambda tx: key_store.find_caller(tx, digest))
        if found is None:
            raise Unauthenticated("The credential is unknown, expired or revoked.")
        if found.suspended_for is not None:
            raise AccountSuspended(found.suspended_for)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        if forgets == self._forgets:
            self._known[digest] = _Known(found.caller, time.monotonic() + _KNOWN_S)
        if found.use_is_old and len(self._used) < _MOST_KNOWN:
            self._used[found.caller.key_id] = address
        return found.caller

    async def still_valid(self, callers: Collection[Caller]) -> set[Caller]:
        """Return which callers would be accepted now: for streams that stay open."""
        key_ids = {caller.key_id for caller in callers if caller.expires_at is None}
        tokens = {caller for caller in callers if caller.expires_at and caller.expires_at > _now()}

        def look(tx: Connection) -> tuple[set[str], set[str]]:
            owners = {caller.account_id for caller in tokens}
            valid = key_store.still_valid(tx, key_ids) if key_ids else set[str]()
            return valid, key_store.still_open(tx, owners) if owners else set[str]()

        valid, open_ = await self._db.look(look)
        kept = {caller for caller in callers if caller.key_id in valid}
        return kept | {caller for caller in tokens if caller.account_id in open_}

    def forget(self, key_id: str) -> None:
        """Look a credential and its sessions up again at their next use, because it changed."""
        self._forget(lambda caller: key_id in (caller.key_id, caller.root_id))
        self._ring()

    def forget_account(self, account_id: str) -> None:
        """Look all credentials of an account up again at their next use."""
        self._forget(lambda caller: caller.account_id == account_id)
        self._ring()

    def forget_all(self) -> None:
        """Look every credential up again at its next use, because another process changed some."""
        self._forget(lambda _: True)

    def _forget(self, is_meant: Callable[[Caller], bool]) -> None:
        self._forgets += 1
        self._known = {
            digest: known for digest, known in self._known.items() if not is_meant(known.caller)
        }

    def forget_person(self, user_id: str) -> None:
        """Look all credentials of a person up again, because the person's rights changed."""
        self._forget(lambda caller: caller.user_id == user_id)
        self._ring()

    async def record_use(self) -> None:
        """Store when and from where the credentials seen since the last call were used."""
        used, self._used = self._used, {}
        if used:
            await self._db.write(lambda tx: key_store.record_use(tx, used))


def _now() -> datetime:
    return datetime.now(UTC)
