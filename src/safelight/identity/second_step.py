"""The second step of a login: TOTP codes, each once, and recovery codes."""

import time
from dataclasses import dataclass, field

from safelight import audit
from safelight.accounts.account import Caller
from safelight.audit import NewLine
from safelight.db import Connection
from safelight.db.engine import Database
from safelight.db.types import clock
from safelight.identity import store, throttling, totp
from safelight.identity.errors import CodeWrong, TotpState
from safelight.identity.people import People
from safelight.identity.post import Letter, Post
from safelight.identity.user import User, hash_token

_ISSUER = "Safelight"


@dataclass(frozen=True, slots=True)
class Setup:
    """A new secret for an authenticator app, to be confirmed by its first code."""

    secret: str = field(repr=False)
    address: str = field(repr=False)  # `otpauth://…`


class SecondStep:
    """Two-step login of the users of this installation."""

    def __init__(self, database: Database, people: People, post: Post) -> None:
        self._db = database
        self._people = people
        self._post = post

    async def begin(self, caller: Caller, password: str, *, address: str) -> Setup:
        """Return a new secret, which is asked for only once confirmed; raise `TotpState`."""
        user = await self._people.confirm(caller, password, address=address)
        if user.has_totp:
            raise TotpState("Two-step login is on. Turn it off first, to set up another app.")
        secret = totp.new_secret()
        await self._db.write(lambda tx: store.change(tx, user.id, totp_secret=secret))
        return Setup(secret, totp.address(secret, user.email, _ISSUER))

    async def confirm(self, caller: Caller, code: str) -> list[str]:
        """Turn two-step login on by the app's first code; return new recovery codes."""
        user = await self._people.of(caller)
        if user.has_totp or not user.totp_secret:
            raise TotpState("Nothing is set up. Begin with `POST /v1/auth/totp`.")
        codes = totp.new_codes()

        def write(tx: Connection) -> bool | None:
            if not throttling.guess_code(tx, user.id):
                return None
            if not _passes(tx, user, code):
                return False
            throttling.forgive_codes(tx, user.id)
            store.change(tx, user.id, totp_since=clock(tx))
            store.replace_codes(tx, user.id, (hash_token(totp.plain(one)) for one in codes))
            audit.append(tx, [_line(caller, user, "user.totp_enabled")])
            return True

        _check(await self._db.write(write))
        self._tell(user, "Two-step login is on", "A code of your authenticator app is now needed")
        return codes

    async def renew_codes(self, caller: Caller, password: str, *, address: str) -> list[str]:
        """Return new recovery codes; the old ones end."""
        user = await self._people.confirm(caller, password, address=address)
        if not user.has_totp:
            raise TotpState("Two-step login is off.")
        codes = totp.new_codes()

        def write(tx: Connection) -> None:
            store.replace_codes(tx, user.id, (hash_token(totp.plain(one)) for one in codes))
            audit.append(tx, [_line(caller, user, "user.recovery_codes_renewed")])

        await self._db.write(write)
        self._tell(user, "New recovery codes", "New recovery codes were made")
        return codes

    async def end(self, caller: Caller, password: str, *, address: str) -> None:
        """Turn two-step login off; doing it again does nothing."""
        user = await self._people.confirm(caller, password, address=address)

        def write(tx: Connection) -> None:
            store.change(tx, user.id, totp_secret="", totp_since=None)
            store.replace_codes(tx, user.id, ())
            audit.append(tx, [_line(caller, user, "user.totp_disabled")])

        await self._db.write(write)
        self._tell(user, "Two-step login is off", "No code is needed any more")

    async def codes_left(self, user: User) -> int:
        """Return how many recovery codes a user has left."""
        return await self._db.read(lambda tx: store.codes_left(tx, user.id))

    async def check(self, user: User, code: str) -> None:
        """Take a code of the app or a recovery code, once; raise `CodeWrong`, `TooManyAttempts`."""

        def write(tx: Connection) -> bool | None:
            if not throttling.guess_code(tx, user.id):
                return None
            if not _passes(tx, user, code):
                digest = hash_token(totp.plain(code))
                if not store.use_code(tx, user.id, digest):
                    return False
            throttling.forgive_codes(tx, user.id)
            return True

        _check(await self._db.write(write))

    def _tell(self, user: User, title: str, text: str) -> None:
        self._post.tell(
            Letter(user.email, title, f"{text}. If that was not you, reset your password now.")
        )


def _passes(tx: Connection, user: User, code: str) -> bool:
    step = totp.step_of(user.totp_secret, code, time.time())
    return step is not None and store.use_step(tx, user.id, step)


def _check(passed: bool | None) -> None:
    if passed is None:
        raise throttling.refused()
    if not passed:
        raise CodeWrong


def _line(caller: Caller, user: User, action: str) -> NewLine:
    return NewLine(caller.account_id, caller.key_id, action, user.id)
