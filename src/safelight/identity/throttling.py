"""Counts guesses and mails in the database, so that the limits hold over all processes."""

import hashlib
from datetime import timedelta
from ipaddress import ip_address, ip_network

from safelight.db import Connection
from safelight.identity import store
from safelight.identity.errors import TooManyAttempts
from safelight.identity.user import Throttle, email_key, mailbox_of

_QUARTER = timedelta(minutes=15)
_HOUR = timedelta(hours=1)
_GUESSES_OF_A_USER = Throttle(10, _QUARTER)
_GUESSES_FROM_AN_ADDRESS = Throttle(100, _QUARTER)
_CODES = Throttle(10, _QUARTER)
_MAILS = Throttle(5, _HOUR)
_INVITATIONS = Throttle(100, _HOUR)  # of an account
_REQUESTS = Throttle(30, _HOUR)  # for mails, from one network address
_V6_PREFIX = 64  # what one customer has


def guess(tx: Connection, email: str, address: str) -> bool:
    """Count a guess at a password; return whether user and network address may make it.

    Addresses without a user count alike.
    """
    of_user = store.take(tx, _login(email), _GUESSES_OF_A_USER)
    from_there = store.take(tx, _place("login", address), _GUESSES_FROM_AN_ADDRESS)
    return of_user and from_there


def forgive(tx: Connection, email: str, address: str) -> None:
    """Forget a user's guesses after the right one."""
    store.clear(tx, _login(email))
    store.give_back(tx, _place("login", address))


def guess_code(tx: Connection, user_id: str) -> bool:
    """Count a guess at a code; return whether the user may make it."""
    return store.take(tx, f"code:{user_id}", _CODES)


def forgive_codes(tx: Connection, user_id: str) -> None:
    """Forget a user's wrong codes after a right one."""
    store.clear(tx, f"code:{user_id}")


def mail(tx: Connection, email: str) -> bool:
    """Count a mail to a mailbox, `+tag` or not; return whether it may be sent."""
    return store.take(tx, f"mail:{_digest(mailbox_of(email))}", _MAILS)


def invite(tx: Connection, account_id: str, email: str) -> bool:
    """Count an invitation; return whether the account may send it, and to that mailbox."""
    return store.take(tx, f"invite:{account_id}", _INVITATIONS) and mail(tx, email)


def ask_for_mail(tx: Connection, address: str) -> bool:
    """Count an anonymous request for a mail; return whether the network address may make it."""
    return store.take(tx, _place("mail", address), _REQUESTS)


def refused() -> TooManyAttempts:
    """Return the refusal of a guess, which does not say whether the user exists."""
    return TooManyAttempts(
        "Too many attempts for this user or from this network address. Try again in 15 minutes.",
        retry_after=_QUARTER,
    )


def refused_mail() -> TooManyAttempts:
    """Return the refusal of a mail."""
    return TooManyAttempts(
        f"Too many mails: at most {_MAILS.most} an hour go to one mailbox, and an account sends at "
        f"most {_INVITATIONS.most} invitations. Try again in an hour.",
        retry_after=_HOUR,
    )


def _login(email: str) -> str:
    return f"login:{_digest(email_key(email))}"


def _place(kind: str, address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return f"{kind} from:"  # no network address: tests, sockets of the file system
    if found.version == 6:  # noqa: PLR2004  of the Internet Protocol
        address = str(ip_network((address.partition("%")[0], _V6_PREFIX), strict=False))
    return f"{kind} from:{address}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]
