"""Proves that a callback comes from Replicate, which signs by https://www.standardwebhooks.com."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from safelight.errors import Forbidden
from safelight.providers.provider import Callback

_TOLERANCE = timedelta(seconds=300)
_PREFIX = "whsec_"
_VERSION = "v1,"
_LEAST_KEY = 16  # bytes
_MAX_SIGNATURES = 16  # several while keys are changed, and of other versions
_MAX_DIGITS = 11
_MAX_ID = 256


@dataclass(frozen=True, slots=True)
class Seal:
    """What stands in the headers of a callback, with a time that is not far from now."""

    id: str
    sent: str
    signatures: tuple[bytes, ...]

    @classmethod
    def read(cls, callback: Callback, now: datetime) -> Self:
        """Raise `Forbidden` for what cannot be genuine, whatever the key is."""
        told = callback.headers
        message, sent = told.get("webhook-id", ""), told.get("webhook-timestamp", "")
        listed = told.get("webhook-signature", "").split()[:_MAX_SIGNATURES]
        given = tuple(
            one.removeprefix(_VERSION).encode() for one in listed if one.startswith(_VERSION)
        )
        is_time = sent.isascii() and sent.isdigit() and len(sent) <= _MAX_DIGITS
        if not given or not is_time or not 0 < len(message) <= _MAX_ID:
            raise Forbidden("The callback is not signed.")
        if abs(now.timestamp() - int(sent)) > _TOLERANCE.total_seconds():
            raise Forbidden("The callback is stale.")
        return cls(message, sent, given)

    def verify(self, body: bytes, key: bytes) -> None:
        """Raise `Forbidden` unless one of the signatures is right."""
        signed = b".".join((self.id.encode(), self.sent.encode(), body))
        right = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
        matches = [hmac.compare_digest(one, right) for one in self.signatures]
        if not any(matches):
            raise Forbidden("The callback's signature is not right.")


def key_of(secret: str) -> bytes:
    """Return the key that a secret such as `whsec_…` spells out, or raise `ValueError`."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("The secret of callbacks is no base64.") from None
    if not secret.startswith(_PREFIX) or len(key) < _LEAST_KEY:
        raise ValueError(f"The secret of callbacks must be {_PREFIX} and {_LEAST_KEY} bytes.")
    return key
