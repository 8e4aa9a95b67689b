"""An issuer's published keys: cached, fetched again when due, and kept while the issuer is down."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from safelight import telemetry
from safelight.accounts.errors import Unauthenticated
from safelight.errors import SafelightError
from safelight.fetch.errors import FetchError
from safelight.fetch.trusted import TrustedClient
from safelight.identity.errors import IssuerUnavailable
from safelight.identity.issuers.issuer import Published
from safelight.identity.issuers.token import Unverified

if TYPE_CHECKING:  # 10 MB with cryptography, of no use before the first token
    from safelight.identity.issuers.jose import PublicKey

FRESH_S = 600.0
KEPT_S = 24 * 3600.0
PAUSE_S = 10.0  # a flood of unknown key ids must not become a flood of requests to the issuer
_DISCOVERY = "/.well-known/openid-configuration"

_log = telemetry.logger(__name__)


class KeySet:
    """The keys of one issuer. `ticks` is a monotonic clock, in seconds.

    They are fetched again every ten minutes, and when a token names an unknown one, at most once in
    ten seconds. While the issuer is down, cached keys are good for a day.
    """

    def __init__(
        self, issuer: Published, client: TrustedClient, ticks: Callable[[], float]
    ) -> None:
        self._issuer = issuer
        self._client = client
        self._ticks = ticks
        self._keys: Mapping[str, Sequence[PublicKey]] = {}
        self._read_at: float | None = None
        self._asked_at: float | None = None
        self._lock = asyncio.Lock()

    async def verify(self, token: str, read: Unverified) -> None:
        """Raise `Unauthenticated` unless one of the keys signed `token`, or `IssuerUnavailable`."""
        key = await self.find(read.key_id, read.algorithm)
        from safelight.identity.issuers.jose import check_signature  # noqa: PLC0415  see above

        check_signature(token, key, read.algorithm)

    async def find(self, key_id: str, algorithm: str) -> "PublicKey":
        """Return the published key of that id; without an id, the only one that fits.

        Raises `Unauthenticated` if there is none, `IssuerUnavailable` if nobody knows.
        """
        found = self._find(key_id, algorithm)
        if found is not None and (self._is_younger(FRESH_S) or self._lock.locked()):
            return found
        async with self._lock:
            # Others may have fetched them meanwhile.
            found = self._find(key_id, algorithm)
            if (found is None or not self._is_younger(FRESH_S)) and self._pause() <= 0:
                await self._fetch()
                found = self._find(key_id, algorithm)
        if found is not None:
            return found
        wait = timedelta(seconds=max(self._pause(), 1.0))
        if self._read_at is None or self._read_at != self._asked_at:
            raise IssuerUnavailable(
                "The keys of the token's issuer cannot be fetched now. Try again later.",
                retry_after=wait,
            )
        raise Unauthenticated(
            "The token is not accepted: its issuer publishes no such key.", retry_after=wait
        )

    def _find(self, key_id: str, algorithm: str) -> "PublicKey | None":
        if not self._is_younger(KEPT_S):
            return None
        if key_id:
            named = self._keys.get(key_id, ())
        else:
            named = [key for keys in self._keys.values() for key in keys]
        fitting = [key for key in named if key.fits(algorithm)]
        return fitting[0] if len(fitting) == 1 else None

    def _is_younger(self, seconds: float) -> bool:
        return self._read_at is not None and self._ticks() < self._read_at + seconds

    def _pause(self) -> float:
        """Return the seconds until the issuer may be asked again."""
        return 0.0 if self._asked_at is None else self._asked_at + PAUSE_S - self._ticks()

    async def _fetch(self) -> None:
        from safelight.identity.issuers.jose import read_keys  # noqa: PLC0415  see above

        self._asked_at = self._ticks()
        try:
            self._keys = read_keys(await self._client.get(await self._url()))
        except (SafelightError, ValueError) as error:
            _log.warning("issuer's keys not fetched", issuer=self._issuer.issuer, error=str(error))
            return
        self._read_at = self._asked_at

    async def _url(self) -> str:
        if self._issuer.keys_url:
            return self._issuer.keys_url
        return (await discover(self._issuer, self._client, "jwks_uri"))["jwks_uri"]


async def discover(issuer: Published, client: TrustedClient, *names: str) -> Mapping[str, Any]:
    """Return the issuer's discovery document, in which `names` are fit addresses.

    Raises `FetchError`, or `ValueError` for an unfit address.
    """
    document = await client.get(issuer.issuer.rstrip("/") + _DISCOVERY)
    if document.get("issuer") != issuer.issuer:
        raise FetchError("The discovery document is of another issuer.")
    for name in names:
        url = document.get(name)
        if not isinstance(url, str):
            raise FetchError(f"The discovery document has no {name}.")
        issuer.check_url(url)
    return document
