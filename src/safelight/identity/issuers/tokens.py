"""Authenticates callers by the access tokens of configured issuers."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from safelight.accounts import store
from safelight.accounts.account import Caller, hash_secret
from safelight.accounts.errors import AccountSuspended
from safelight.db.engine import Database
from safelight.fetch.trusted import TrustedClient
from safelight.identity.issuers.issuer import Issuer
from safelight.identity.issuers.key_set import KeySet
from safelight.identity.issuers.token import (
    MAX_TOKEN_LENGTH,
    Unverified,
    check_claims,
    check_header,
    refused,
)

_KNOWN_S = 1.0
_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    until: float  # of the monotonic clock


class Tokens:
    """The issuers by name, with their keys.

    A verified token is known for a second, so that a busy client costs neither a verification nor a
    query per request. `clock` gives seconds since 1970, `ticks` is a monotonic clock.
    """

    def __init__(
        self,
        database: Database,
        issuers: Mapping[str, Issuer],
        client: TrustedClient,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = database
        self._clock = clock
        self._ticks = ticks
        self._issuers = {
            issuer.issuer: (name, issuer, KeySet(issuer, client, ticks))
            for name, issuer in issuers.items()
        }
        self._known: dict[bytes, _Known] = {}  # by the token's hash

    async def authenticate(self, token: str) -> Caller:
        """Return the caller of a valid token; raise `Unauthenticated` or `IssuerUnavailable`."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise refused(f"it is longer than {MAX_TOKEN_LENGTH} characters")
        digest = hash_secret(token)
        known = self._known.get(digest)
        if known is not None and self._ticks() < known.until:
            return known.caller
        caller = await self._caller(token)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[digest] = _Known(caller, self._ticks() + _KNOWN_S)
        return caller

    async def _caller(self, token: str) -> Caller:
        read = Unverified.read(token)
        if read.issuer not in self._issuers:
            raise refused("its issuer is not known here")
        name, issuer, keys = self._issuers[read.issuer]
        check_header(read, issuer)
        await keys.verify(token, read)
        claims = check_claims(read, issuer, self._clock())
        account_id = issuer.account or read.claims.get(issuer.account_claim)
        return Caller(
            await self._open_account(account_id),
            f"{name}:{claims.subject}",
            issuer.scopes_of(read.claims),
            issuer.rate_per_s,
            expires_at=datetime.fromtimestamp(claims.expires_at, UTC),
        )

    async def _open_account(self, account_id: object) -> str:
        """Return the id of an account that may be used; raise the refusal of any other."""
        if isinstance(account_id, str):
            account = await self._db.read(lambda tx: store.get_account(tx, account_id))
            if account is not None and account.suspended_at:
                raise AccountSuspended(account.suspended_for)
            if account is not None and not account.deleted_at:
                return account.id
        raise refused("it names no account of this server")
