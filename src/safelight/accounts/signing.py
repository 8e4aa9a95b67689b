"""HMAC signatures of text. Pure rules."""

import base64
import hashlib
import hmac

from safelight.accounts.account import same

SIGNATURE_LENGTH = 22
"""Characters of a signature: 132 bits, safe from brute force."""


def signing_key(secret: bytes, account_id: str) -> str:
    """Derive an account's key from the installation's `secret`; nothing is stored."""
    return hmac.digest(secret, f"signing:{account_id}".encode(), hashlib.sha256).hex()


def sign(key: str, text: str) -> str:
    """Return the signature of `text`; the key is used as text, not decoded from hex."""
    digest = hmac.digest(key.encode(), text.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode()[:SIGNATURE_LENGTH]


def is_signed(key: str, text: str, signature: str) -> bool:
    """Return whether `signature` is valid for `text`, in constant time."""
    return same(sign(key, text), signature)
