"""Verifies webhook signatures of fal, which signs with Ed25519 and publishes its keys."""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self, cast

from safelight.errors import Forbidden, SafelightError
from safelight.json_object import as_object
from safelight.providers.errors import ProviderError
from safelight.providers.provider import Callback
from safelight.providers.remote.api import Api

if TYPE_CHECKING:  # 7 MB, of no use to a process without fal
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_TOLERANCE_S = 300
_LASTS_S = 24 * 3600.0
_PAUSE_S = 30.0  # a flood of webhooks must not become a flood of key requests
_ASK_S = 5.0
_MAX_KEYS = 16
_MAX_ID = 256
_MAX_DIGITS = 11


@dataclass(frozen=True, slots=True)
class Seal:
    """The signature headers of a webhook whose timestamp is recent."""

    message: bytes
    signature: bytes

    @classmethod
    def read(cls, callback: Callback, now: datetime) -> Self:
        """Raise `Forbidden` for a webhook that no key could verify."""
        request, user, sent, signature = (
            callback.headers.get(f"x-fal-webhook-{name}", "")
            for name in ("request-id", "user-id", "timestamp", "signature")
        )
        if not request or max(len(request), len(user)) > _MAX_ID:
            raise Forbidden("The webhook is not signed.")
        if not (sent.isascii() and sent.isdigit()) or len(sent) > _MAX_DIGITS:
            raise Forbidden("The webhook is not signed.")
        if abs(now.timestamp() - int(sent)) > _TOLERANCE_S:
            raise Forbidden("The webhook is stale.")
        try:
            given = bytes.fromhex(signature)
        except ValueError:
            raise Forbidden("The webhook's signature is not hexadecimal.") from None
        digest = hashlib.sha256(callback.body).hexdigest()
        return cls("\n".join((request, user, sent, digest)).encode(), given)

    def is_by(self, key: "Ed25519PublicKey") -> bool:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  see above

        try:
            key.verify(self.signature, self.message)
        except InvalidSignature:
            return False
        return True


class PublishedKeys:
    """fal's public keys, cached for a day and fetched again if none of them matches.

    `ticks` is a monotonic clock, in seconds.
    """

    def __init__(self, api: Api, address: str, ticks: Callable[[], float]) -> None:
        self._api = api
        self._address = address
        self._ticks = ticks
        self._keys: list[Ed25519PublicKey] = []
        self._read_at: float | None = None
        self._asked_at: float | None = None
        self._lock = asyncio.Lock()

    async def verify(self, seal: Seal) -> None:
        """Raise `Forbidden` unless one of the keys signed it, or the error of fetching the keys."""
        if self._is_fresh() and self._signed(seal):
            return
        async with self._lock:
            if self._may_ask():
                await self._ask()
        if not self._is_fresh():
            raise ProviderError("The provider's webhook keys could not be fetched a moment ago.")
        if not self._signed(seal):
            raise Forbidden("The webhook's signature is not right.")

    def _signed(self, seal: Seal) -> bool:
        return any(seal.is_by(key) for key in self._keys)

    def _is_fresh(self) -> bool:
        return self._read_at is not None and self._ticks() < self._read_at + _LASTS_S

    def _may_ask(self) -> bool:
        return self._asked_at is None or self._ticks() >= self._asked_at + _PAUSE_S

    async def _ask(self) -> None:
        self._asked_at = self._ticks()
        try:
            answer = await self._api.call("GET", self._address, answer_s=_ASK_S)
        except SafelightError:
            if self._is_fresh():
                return  # the cached keys are still valid
            raise
        found = _read_keys(answer.document)
        if not found:
            raise ProviderError("The provider publishes no webhook keys.")
        self._keys, self._read_at = found, self._ticks()


def _read_keys(document: object) -> "list[Ed25519PublicKey]":
    """Return the Ed25519 keys of a JSON Web Key Set (RFC 8037)."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415  see above
        Ed25519PublicKey,
    )

    told = as_object(document)
    listed = told.get("keys")
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    keys: list[Ed25519PublicKey] = []
    for entry in entries[:_MAX_KEYS]:
        key = as_object(entry)
        if key.get("kty") == "OKP" and key.get("crv") == "Ed25519":
            try:
                text = str(key.get("x", ""))
                raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
                keys.append(Ed25519PublicKey.from_public_bytes(raw))
            except (binascii.Error, ValueError):
                continue  # skip a malformed key
    return keys
