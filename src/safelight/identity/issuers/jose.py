"""Public keys and signatures of tokens, by joserfc: imported when the first token comes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey, import_key

from safelight.fetch.errors import FetchError
from safelight.identity.issuers.token import MAX_TOKEN_LENGTH, refused
from safelight.json_object import JsonObject, as_object

_MOST_KEYS = 32
_RSA_BITS = range(2048, 8200)  # a larger key costs more time than a request is worth
_SECRET_PARTS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


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


def check_signature(token: str, key: PublicKey, algorithm: str) -> None:
    """Raise `Unauthenticated` unless `key` signed the token."""
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = MAX_TOKEN_LENGTH
    try:
        jws.deserialize_compact(token, key.key, registry=registry)
    except (JoseError, ValueError):
        raise refused("its signature is not the issuer's") from None


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
