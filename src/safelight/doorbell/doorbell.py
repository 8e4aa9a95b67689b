"""Doorbell interface: wakes waiting tasks; a ring names a topic and carries no data.

Lost or duplicate rings affect only latency: listeners also poll at an interval.
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


CREDENTIALS = "credentials"  # some ended: processes forget those that they know
HALT = "halt"  # a running job was canceled: workers check their leases


class Bell(Protocol):
    """One listener. Rings that arrive while it is not waiting are coalesced."""

    def hear(self, topic: str) -> None:
        """Ring this listener alone."""
        ...

    async def wait(self, at_most: timedelta) -> frozenset[str]:
        """Return the topics that rang since the last call, or nothing after `at_most`."""
        ...


class Doorbell(Protocol):
    """Carries rings from committers to waiters."""

    @property
    def name(self) -> str:
        """The plug's name, for logs and health reports."""
        ...

    def ring(self, *topics: str) -> None:
        """Wake the listeners of `topics`. Never blocks and never raises."""
        ...

    def listen(self, *topics: str) -> AbstractContextManager[Bell]:
        """Listen for rings of `topics` while the context is open."""
        ...

    async def check(self) -> None:
        """Raise DoorbellSilent while rings do not reach other processes."""
        ...
