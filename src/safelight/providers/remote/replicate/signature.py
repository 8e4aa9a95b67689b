"""Verifies webhook signatures of Replicate, by https://www.standardwebhooks.com."""

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
_MAX_SIGNATURES = 16  # several during a key rotation, and of other versions
_MAX_DIGITS = 11
_MAX_ID = 256


@dataclass(frozen=True, slots=True)
class Seal:
    """The signature headers of a callback whose timestamp is recent."""

    id: str
    sent: str
    signatures: tuple[bytes, ...]

    @classmethod
    def read(cls, callback: Callback, now: datetime) -> Self:
        """Raise `Forbidden` for a callback that no key could verify."""
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
        """Raise `Forbidden` unless one of the signatures is valid."""
        signed = b".".join((self.id.encode(), self.sent.encode(), body))
        right = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
        matches = [hmac.compare_digest(one, right) for one in self.signatures]
        if not any(matches):
            raise Forbidden("The callback's signature is not right.")


def key_of(secret: str) -> bytes:
    """Decode a secret such as `whsec_…`, or raise `ValueError`."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("The callback secret is not valid base64.") from None
    if not secret.startswith(_PREFIX) or len(key) < _LEAST_KEY:
        raise ValueError(
            f"The callback secret must be {_PREFIX} and at least {_LEAST_KEY} bytes in base64."
        )
    return key
