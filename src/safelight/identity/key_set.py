"""An issuer's published keys: cached, fetched again when due, and kept while the issuer is down."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey, import_key

from safelight import telemetry
from safelight.accounts.errors import Unauthenticated
from safelight.errors import SafelightError
from safelight.fetch.errors import FetchError
from safelight.fetch.trusted import TrustedClient
from safelight.identity.errors import IssuerUnavailable
from safelight.identity.issuer import Issuer
from safelight.json_object import JsonObject, as_object

FRESH_S = 600.0
KEPT_S = 24 * 3600.0
PAUSE_S = 10.0  # a flood of unknown key ids must not become a flood of requests to the issuer
_MOST_KEYS = 32
_RSA_BITS = range(2048, 8200)  # a larger key costs more time than a request is worth
_SECRET_PARTS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
_DISCOVERY = "/.well-known/openid-configuration"

_log = telemetry.logger(__name__)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that an issuer signs with, and the algorithm it is for; empty is any of its kind."""

    key: Key
    algorithm: str

    def fits(self, algorithm: str) -> bool:
        """Return whether a signature of this algorithm could be by this key."""
        if self.algorithm:
            return self.algorithm == algorithm
        match self.key:
            case RSAKey():
                return algorithm.startswith(("RS", "PS"))
            case ECKey():
                return algorithm.startswith("ES")
            case _:
                return algorithm.startswith("Ed")


class KeySet:
    """The keys of one issuer. `ticks` is a monotonic clock, in seconds.

    They are fetched again every ten minutes, and when a token names an unknown one, at most once in
    ten seconds. While the issuer is down, cached keys are good for a day.
    """

    def __init__(self, issuer: Issuer, client: TrustedClient, ticks: Callable[[], float]) -> None:
        self._issuer = issuer
        self._client = client
        self._ticks = ticks
        self._keys: Mapping[str, Sequence[PublicKey]] = {}
        self._read_at: float | None = None
        self._asked_at: float | None = None
        self._lock = asyncio.Lock()

    async def find(self, key_id: str, algorithm: str) -> Key:
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

    def _find(self, key_id: str, algorithm: str) -> Key | None:
        if not self._is_younger(KEPT_S):
            return None
        if key_id:
            named = self._keys.get(key_id, ())
        else:
            named = [key for keys in self._keys.values() for key in keys]
        fitting = [key.key for key in named if key.fits(algorithm)]
        return fitting[0] if len(fitting) == 1 else None

    def _is_younger(self, seconds: float) -> bool:
        return self._read_at is not None and self._ticks() < self._read_at + seconds

    def _pause(self) -> float:
        """Return the seconds until the issuer may be asked again."""
        return 0.0 if self._asked_at is None else self._asked_at + PAUSE_S - self._ticks()

    async def _fetch(self) -> None:
        self._asked_at = self._ticks()
        try:
            document = await self._client.get(await self._url())
            self._keys = read_keys(document)
        except (SafelightError, ValueError) as error:
            _log.warning("issuer's keys not fetched", issuer=self._issuer.issuer, error=str(error))
            return
        self._read_at = self._asked_at

    async def _url(self) -> str:
        if self._issuer.keys_url:
            return self._issuer.keys_url
        return (await discover(self._issuer, self._client, "jwks_uri"))["jwks_uri"]


async def discover(issuer: Issuer, client: TrustedClient, *names: str) -> Mapping[str, str]:
    """Return these addresses from the issuer's discovery document.

    Raises `FetchError`, or `ValueError` for an unfit address.
    """
    document = await client.get(issuer.issuer.rstrip("/") + _DISCOVERY)
    if document.get("issuer") != issuer.issuer:
        raise FetchError("The discovery document is of another issuer.")
    found: dict[str, str] = {}
    for name in names:
        url = document.get(name)
        if not isinstance(url, str):
            raise FetchError(f"The discovery document has no {name}.")
        issuer.check_url(url)
        found[name] = url
    return found


def read_keys(document: Mapping[str, Any]) -> Mapping[str, Sequence[PublicKey]]:
    """Return the usable signing keys of a JWK Set by id; raise `FetchError` if there are none."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise FetchError("The key set has no keys.")
    keys: dict[str, list[PublicKey]] = {}
    for entry in cast("list[Any]", listed)[:_MOST_KEYS]:
        table = as_object(entry)
        if read := _read_key(table):
            keys.setdefault(str(table.get("kid", "")), []).append(read)
    if not keys:
        raise FetchError("The key set has no key that can verify signatures.")
    return keys


def _read_key(entry: JsonObject) -> PublicKey | None:
    """Return a public key for signatures; None for secrets, other uses and unknown kinds."""
    if entry.get("use", "sig") != "sig" or entry.keys() & _SECRET_PARTS:
        return None
    if entry.get("kty") == "RSA" and not _is_usable_rsa(entry.get("n")):
        return None
    if entry.get("kty") == "OKP" and entry.get("crv") != "Ed25519":
        return None  # such as X25519, which signs nothing
    try:
        key = import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    algorithm = entry.get("alg", "")
    return PublicKey(key, algorithm) if isinstance(algorithm, str) else None


def _is_usable_rsa(modulus: object) -> bool:
    """Return whether a modulus, in base64, has a safe size that is not too slow."""
    return isinstance(modulus, str) and len(modulus) * 6 in _RSA_BITS
