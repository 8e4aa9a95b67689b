"""Hashes passwords by argon2id in threads, few at a time, and refuses unfit ones."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import anyio
import anyio.to_thread
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from safelight.errors import ServiceError
from safelight.identity.errors import PasswordUnfit
from safelight.identity.user import LEAST_PASSWORD, MOST_PASSWORD

T = TypeVar("T")

_AT_ONCE = 2  # each takes a core and 46 MiB
_MOST_WAITING = 100
_MEMORY_KIB = 46 * 1024
_ROUNDS = 2
_HASH_CHARS = 40  # of a SHA-1 in hexadecimal
_LONGEST_LINE = 64


class Passwords:
    """Hashes and checks passwords off the event loop.

    With a list of `breached` ones, a file in the format of Have I Been Pwned (lines of
    `SHA1:COUNT`, sorted by hash), new passwords must not be in it.
    """

    def __init__(self, breached: Path | None = None) -> None:
        self._hasher = PasswordHash(
            (Argon2Hasher(time_cost=_ROUNDS, memory_cost=_MEMORY_KIB, parallelism=1),)
        )
        self._breached = breached
        self._limiter: anyio.CapacityLimiter | None = None
        self._pending = 0
        self._dummy = ""

    async def hash(self, password: str, *, field: str = "password") -> str:
        """Return the hash of a new password; raise `PasswordUnfit`, which names `field`."""
        self._check_length(password, field)
        if self._breached and await self._run(is_listed, self._breached, password):
            raise _unfit(field, "this password is in a list of breached ones")
        return await self._run(self._hasher.hash, _bytes(password))

    async def verify(self, password: str, known: str) -> tuple[bool, str]:
        """Return whether a password is the one of a hash, and a hash to replace it, if it is old.

        An empty hash takes as long as any, and is never right.
        """
        if len(password) > MOST_PASSWORD:
            return False, ""
        if not self._dummy:
            self._dummy = await self._run(self._hasher.hash, b"a dummy")
        if not known:
            await self._run(self._hasher.verify, _bytes(password), self._dummy)
            return False, ""
        is_right, renewed = await self._run(self._hasher.verify_and_update, _bytes(password), known)
        return is_right, renewed or ""

    @staticmethod
    def _check_length(password: str, field: str) -> None:
        if len(password) < LEAST_PASSWORD:
            raise _unfit(field, f"a password has at least {LEAST_PASSWORD} characters")
        if len(password) > MOST_PASSWORD:
            raise _unfit(field, f"a password has at most {MOST_PASSWORD} characters")

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_AT_ONCE)
        if self._pending >= _AT_ONCE + _MOST_WAITING:
            raise ServiceError("Too many people sign in at once. Try again in a few seconds.")
        self._pending += 1
        try:
            return await anyio.to_thread.run_sync(function, *args, limiter=self._limiter)
        finally:
            self._pending -= 1


def _unfit(field: str, message: str) -> PasswordUnfit:
    told = [{"field": field, "message": message}]
    return PasswordUnfit(f"{message[0].upper()}{message[1:]}.", errors=told)


def _bytes(password: str) -> bytes:
    # As typed: no letter is changed, and JSON may hold half of a surrogate pair.
    return password.encode("utf-8", "surrogatepass")


def is_listed(path: Path, password: str) -> bool:
    """Look a password up by bisection; the file may be many gigabytes."""
    digest = hashlib.sha1(_bytes(password), usedforsecurity=False).hexdigest().upper().encode()
    with path.open("rb") as file:
        low, high = 0, file.seek(0, 2)
        while low < high:
            middle = (low + high) // 2
            found, after = _line_after(file, middle)
            if found == digest:
                return True
            if found and found < digest:
                low = after
            else:
                high = middle
        return False


def _line_after(file: BinaryIO, place: int) -> tuple[bytes, int]:
    """Return the hash of the first line that starts at `place` or later, and where it ends."""
    file.seek(max(place - 1, 0))
    if place:
        file.readline(_LONGEST_LINE)
    return file.readline(_LONGEST_LINE)[:_HASH_CHARS].upper(), file.tell()
