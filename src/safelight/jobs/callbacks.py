"""Takes in what providers report by themselves: proven news is kept, any other leads to a look.

The address names the attempt, with a signature that only this installation can make. A service
never rings: the edge does, after the commit that it sees here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from safelight.accounts.signatures import Signatures
from safelight.accounts.signing import is_signed, sign
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.errors import NotFound
from safelight.jobs.ledger import callback_store
from safelight.jobs.ledger.callback_store import Woken
from safelight.providers.errors import UnknownModel
from safelight.providers.provider import Callback, News
from safelight.providers.registry import Registry

MAX_BODY = 1 << 20
"""Bytes of a callback; no provider sends pictures in one."""

_SHARED = "shared"


@dataclass(frozen=True, slots=True)
class CallbackAddresses:
    """Where providers report to; `base_url` is empty where they cannot reach this server."""

    base_url: str
    signatures: Signatures

    async def of(self, provider: str, attempt_id: str) -> str | None:
        """Return the address for one attempt."""
        return await self._signed(provider, attempt_id)

    async def shared(self, provider: str) -> str | None:
        """Return the address for all of a provider, where it takes none for each call."""
        return await self._signed(provider, _SHARED)

    async def _signed(self, provider: str, name: str) -> str | None:
        if not self.base_url:
            return None
        key = await self.signatures.callback_key()
        return f"{self.base_url}/callbacks/{provider}/{name}.{sign(key, f'{provider}/{name}')}"


class Callbacks:
    """What providers report. Duplicates, late and forged ones do nothing."""

    def __init__(self, database: Database, registry: Registry, signatures: Signatures) -> None:
        self._db = database
        self._registry = registry
        self._signatures = signatures

    async def receive(
        self, provider: str, token: str, headers: Mapping[str, str], body: bytes
    ) -> Woken | None:
        """Take in one callback; return the job to be looked at, if one is.

        Raises `NotFound` for an address that was never given out and `Forbidden` for a forgery.
        """
        attempt_id = await self._named(provider, token)
        try:
            plug = self._registry.provider(provider)
        except UnknownModel:
            raise NotFound("There is no such address.") from None
        lower = {name.lower(): value for name, value in headers.items()}
        news = await plug.parse_callback(Callback(lower, body, attempt_id))
        return await self._db.write(lambda tx: _record(tx, provider, news, body))

    async def _named(self, provider: str, token: str) -> str | None:
        name, _, signature = token.partition(".")
        key = await self._signatures.callback_key()
        if not is_signed(key, f"{provider}/{name}", signature):
            raise NotFound("There is no such address.")
        return None if name == _SHARED else name


def _record(tx: Connection, provider: str, news: News, body: bytes) -> Woken | None:
    attempt_id = callback_store.find(tx, provider, news.attempt_id, news.ticket)
    if attempt_id is None:
        return None  # about no job, or about one that has ended
    if news.is_proven:
        callback_store.keep(tx, attempt_id, body, news.ticket)
    return callback_store.wake(tx, attempt_id)
