"""Ctrl-C as a failure of the command, which says what is left."""

from asyncio import CancelledError
from collections.abc import Callable, Generator
from contextlib import contextmanager

from safelight.cli.failure import Interrupted


@contextmanager
def interruptible(left: str | Callable[[], str]) -> Generator[None]:
    """Turn Ctrl-C into `Interrupted`, which says what is `left` then."""
    try:
        yield
    except CancelledError:
        told = left if isinstance(left, str) else left()
        raise Interrupted(f"Interrupted. {told}") from None
