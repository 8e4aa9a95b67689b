"""Codes of the second step: TOTP (RFC 6238) and recovery codes. Pure."""

import pyotp
from pyotp.totp import TOTP

from safelight import ids

CODES = 10  # recovery codes of a user
_STEP_S = 30
_DIGITS = 6
_CODE_BITS = 80


def new_secret() -> str:
    """Return a new secret of 160 random bits in base 32."""
    return pyotp.random_base32()


def address(secret: str, email: str, issuer: str) -> str:
    """Return the `otpauth:` address that authenticator apps take, as a link or a QR code."""
    return TOTP(secret).provisioning_uri(name=email, issuer_name=issuer)


def step_of(secret: str, code: str, at_s: float) -> int | None:
    """Return the time step whose code this is, the present or an adjacent one, or None.

    `at_s` is the time in seconds since 1970.
    """
    if len(code) != _DIGITS or not (code.isascii() and code.isdigit()):
        return None
    present = int(at_s) // _STEP_S
    otp = TOTP(secret)
    found = None
    for step in (present - 1, present, present + 1):
        if otp.verify(code, for_time=step * _STEP_S):
            found = step
    return found


def new_codes() -> list[str]:
    """Return new recovery codes, such as ``k3f9-…``, of 80 random bits each."""
    plain = [ids.secret(_CODE_BITS) for _ in range(CODES)]
    return ["-".join(one[place : place + 4] for place in range(0, len(one), 4)) for one in plain]


def plain(code: str) -> str:
    """Return a code as it is compared: without spaces and hyphens, in lower case."""
    return code.replace("-", "").replace(" ", "").lower()
