"""Verifies callback signatures: Standard Webhooks, or an HMAC of the body."""

import base64
import binascii
import hashlib
import hmac
from datetime import datetime, timedelta

from safelight.errors import Forbidden
from safelight.providers.provider import Callback

_TOLERANCE = timedelta(seconds=300)
_PREFIX = "whsec_"
_SHORTEST_KEY = 16
_MOST_SIGNATURES = 8  # during a key rotation there are two


def key_of(secret: str) -> bytes:
    """Decode a secret, or raise `ValueError`."""
    try:
        key = _decoded(secret)
    except binascii.Error:
        raise ValueError("The callback secret is not valid base64.") from None
    if len(key) < _SHORTEST_KEY:
        raise ValueError(f"The callback secret needs {_SHORTEST_KEY} bytes or more.")
    return key


def verify(callback: Callback, header: str, key: bytes, now: datetime) -> bool:
    """Return whether the sender is proven; raise `Forbidden` if the callback is forged or stale.

    A plain HMAC of the body has no timestamp, so the callback may be a replay: it only triggers a
    poll.
    """
    if header:
        _verify_body(callback, header.lower(), key)
        return False
    _verify_standard(callback, key, now)
    return True


def _verify_standard(callback: Callback, key: bytes, now: datetime) -> None:
    """Verify a callback by https://www.standardwebhooks.com."""
    headers = callback.headers
    message_id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not (sent.isascii() and sent.isdigit() and len(sent) < 12):  # noqa: PLR2004
        raise Forbidden("The callback is not signed.")
    signed = f"{message_id}.{sent}.".encode() + callback.body
    expected = b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
    given = headers.get("webhook-signature", "").split(" ")[:_MOST_SIGNATURES]
    if not any(hmac.compare_digest(one.encode(), expected) for one in given):
        raise Forbidden("The callback's signature is not right.")
    if abs(now.timestamp() - int(sent)) > _TOLERANCE.total_seconds():
        raise Forbidden("The callback is stale.")


def _verify_body(callback: Callback, header: str, key: bytes) -> None:
    expected = hmac.digest(key, callback.body, hashlib.sha256).hex().encode()
    given = callback.headers.get(header, "").strip().lower().removeprefix("sha256=")
    if not hmac.compare_digest(given.encode(), expected):
        raise Forbidden("The callback's signature is not right.")


def _decoded(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
