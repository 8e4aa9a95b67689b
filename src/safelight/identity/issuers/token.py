"""The rules of a token: its form, its header, its claims. Pure.

A signature proves the issuer only with that issuer's own keys: what a header says about keys
(`jwk`, `jku`, `x5u`, `x5c`) is ignored, and `kid` only chooses among the published ones.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import orjson

from safelight.accounts.errors import Unauthenticated
from safelight.identity.issuers.issuer import Issuer
from safelight.json_object import JsonObject

MAX_TOKEN_LENGTH = 8_192
LEEWAY_S = 60.0
_MAX_ID = 255  # characters of a subject or of a key's id
_PARTS = 3
_LATEST_S = 1e11  # some thousand years from now


@dataclass(frozen=True, slots=True)
class Unverified:
    """A well-formed token whose signature is not checked yet."""

    algorithm: str
    type: str
    key_id: str  # empty: the header names none
    issuer: str
    claims: Mapping[str, Any]

    @classmethod
    def read(cls, token: str) -> Self:
        """Parse a compact JWS; raise `Unauthenticated` unless it is one with an issuer."""
        parts = token.split(".")
        if len(token) > MAX_TOKEN_LENGTH or len(parts) != _PARTS or not all(parts):
            raise Unauthenticated("The credential is neither an API key nor a token.")
        header, claims = _object(parts[0]), _object(parts[1])
        if "crit" in header:
            raise refused("it has critical extensions (`crit`), and none is known here")
        return cls(
            _text(header, "alg"),
            _text(header, "typ"),
            _text(header, "kid"),
            _text(claims, "iss", longest=1_000),
            claims,
        )


@dataclass(frozen=True, slots=True)
class Claims:
    """The subject of a verified token, and when it ends, in seconds since 1970."""

    subject: str
    expires_at: float


def check_header(token: Unverified, issuer: Issuer) -> None:
    """Raise `Unauthenticated` unless the issuer signs tokens like this."""
    if token.algorithm not in issuer.algorithms:
        raise refused("its algorithm is not one of the issuer's")
    if _media_type(token.type) not in map(_media_type, issuer.types):
        raise refused("its type (`typ`) is not that of an access token of the issuer")


def check_claims(token: Unverified, issuer: Issuer, now: float) -> Claims:
    """Return the subject and the end of a signed token; raise `Unauthenticated` for another use."""
    claims = token.claims
    if not set(audiences(claims.get(issuer.audience_claim))) & set(issuer.audience):
        raise refused("its audience is not this server")
    for name, value in issuer.require.items():
        if claims.get(name) != value:
            raise refused(f"its claim `{name}` is not that of an access token")
    return checked(claims, now)


def checked(claims: Mapping[str, Any], now: float) -> Claims:
    """Return the subject and the end of a token that is valid now; raise `Unauthenticated`."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_ID or not subject.isprintable():
        raise refused("its subject (`sub`) is empty or malformed")
    return Claims(subject, _end(claims, now))


def _end(claims: Mapping[str, Any], now: float) -> float:
    """Return when a token ends, leeway included; raise `Unauthenticated` unless it is valid now."""
    ends = _time(claims, "exp")
    if ends is None:
        raise refused("it never ends (`exp`)")
    if now >= ends + LEEWAY_S:
        raise refused("it has expired")
    for name in ("nbf", "iat"):
        begins = _time(claims, name)
        if begins is not None and now < begins - LEEWAY_S:
            raise refused(f"it is not valid yet (`{name}`)")
    return ends + LEEWAY_S


def refused(reason: str) -> Unauthenticated:
    """Return the refusal of a token; `reason` completes the sentence, without parts of it."""
    return Unauthenticated(f"The token is not accepted: {reason}.")


def _object(part: str) -> JsonObject:
    try:
        text = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value: object = orjson.loads(text)
    except (ValueError, binascii.Error):
        raise Unauthenticated("The credential is neither an API key nor a token.") from None
    if not isinstance(value, dict):
        raise Unauthenticated("The credential is neither an API key nor a token.")
    return cast("JsonObject", value)


def _text(table: Mapping[str, Any], name: str, *, longest: int = _MAX_ID) -> str:
    value = table.get(name, "")
    if not isinstance(value, str) or len(value) > longest:
        raise refused(f"its `{name}` is malformed")
    return value


def _media_type(name: str) -> str:
    return name.lower().removeprefix("application/")


def audiences(value: Any) -> list[str]:
    """Return the audiences of a claim: a text, or a list of texts."""
    if isinstance(value, str):
        return [value]
    found = cast("list[Any]", value) if isinstance(value, list) else []
    return [one for one in found if isinstance(one, str)]


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LATEST_S:
        raise refused(f"its `{name}` is not a time")
    return float(value)
