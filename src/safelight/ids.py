"""Generates ids: a prefix for the kind, then a ULID, which sorts by time."""

import secrets
import time
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case
_TIME_BITS = 48
_RANDOM_BITS = 80
_LENGTH = 26

PREFIXES = {
    "job": "job_",
    "attempt": "att_",
    "asset": "ast_",
    "batch": "bat_",
    "event": "evt_",
    "endpoint": "whe_",
    "delivery": "dlv_",
    "account": "acc_",
    "key": "key_",
    "worker": "wrk_",
    "request": "req_",
    "audit": "aud_",
    "contact": "con_",
    "notice": "ntc_",
    "user": "usr_",
    "invitation": "inv_",
}


def new(kind: str) -> str:
    """Return a new id such as ``job_01k9…``: 48 bits of milliseconds, then 80 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    return PREFIXES[kind] + _encode(value, _LENGTH)


def first_of(kind: str, at: datetime) -> str:
    """Return the lowest possible id for that time."""
    milliseconds = int(at.timestamp() * 1000)
    return PREFIXES[kind] + _encode(milliseconds << _RANDOM_BITS, _LENGTH)


def secret(bits: int = 160) -> str:
    """Return a random lower-case string for object keys and tokens."""
    return _encode(secrets.randbits(bits), -(-bits // 5))


def _encode(value: int, length: int) -> str:
    digits = [""] * length
    for place in range(length - 1, -1, -1):
        digits[place] = _ALPHABET[value & 31]
        value >>= 5
    return "".join(digits)
