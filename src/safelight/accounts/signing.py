"""Signs text so that only who holds the key can have made it. Pure."""

import base64
import hashlib
import hmac

from safelight.accounts.account import same

SIGNATURE_LENGTH = 22
"""Characters of a signature: 132 bits, more than can be tried."""


def signing_key(secret: bytes, account_id: str) -> str:
    """Return an account's key, made from the installation's `secret`: nothing is stored for it."""
    return hmac.digest(secret, f"signing:{account_id}".encode(), hashlib.sha256).hex()


def sign(key: str, text: str) -> str:
    """Return the signature of `text`; the key's hex digits are taken as they are, as text."""
    digest = hmac.digest(key.encode(), text.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode()[:SIGNATURE_LENGTH]


def is_signed(key: str, text: str, signature: str) -> bool:
    """Say whether `signature` belongs to `text`, in a time that tells nothing about it."""
    return same(sign(key, text), signature)
