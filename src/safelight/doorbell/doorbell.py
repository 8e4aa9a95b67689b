"""The socket that wakes sleepers: a ring says where to look and carries nothing else.

Losing or doubling every ring changes nothing but the wait: whoever listens also looks by itself
at an interval.
"""

from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Protocol


def lane(name: str) -> str:
    """Return the topic of new work in a lane."""
    return f"lane:{name}"


def subject(subject_id: str) -> str:
    """Return the topic of news about one job or batch."""
    return f"subject:{subject_id}"


HALT = "halt"  # a running job was canceled: workers look at what they still hold


class Bell(Protocol):
    """One listener's ear. Rings that come while it is not waiting are kept as one."""

    async def wait(self, at_most: timedelta) -> frozenset[str]:
        """Return the topics that rang since the last call, or nothing after `at_most`."""
        ...


class Doorbell(Protocol):
    """Carries rings between whoever commits and whoever waits."""

    @property
    def name(self) -> str:
        """Which plug this is, for logs and health reports."""
        ...

    def ring(self, *topics: str) -> None:
        """Wake the listeners of `topics`. Never blocks and never raises."""
        ...

    def listen(self, *topics: str) -> AbstractContextManager[Bell]:
        """Hear rings of `topics` for as long as the context is open."""
        ...

    async def check(self) -> None:
        """Raise DoorbellSilent while rings do not reach other processes."""
        ...
