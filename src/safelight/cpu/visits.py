"""Children that stay for the calls of one tenant: which are idle, and when each must go."""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from safelight.cpu.limits import Limits

MOST_CALLS = 64
"""How many calls a child serves before another takes its place."""

MOST_S = 3
"""Seconds after its start at which a child takes no more calls, and ends if it is idle."""

_IDLE = 2  # children that wait, for each that works


@dataclass(slots=True, eq=False)
class Visit:
    """A child of one tenant, by our end of its channel; closing that kills it."""

    tenant: str
    limits: Limits
    channel: socket.socket
    until: float  # on the monotonic clock
    calls: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it has served as many calls, or as long, as a child may."""
        return self.calls >= MOST_CALLS or time.monotonic() >= self.until


class Visits:
    """The idle children of a pool, the one that has waited longest first."""

    def __init__(self, size: int, open_call: Callable[[], socket.socket]) -> None:
        """Keep idle children for a pool of `size`; `open_call` starts one."""
        self._most = _IDLE * size
        self._open_call = open_call
        self._idle: list[Visit] = []

    def start(self, tenant: str, limits: Limits) -> Visit:
        """Return a new child, which is this tenant's only."""
        return Visit(tenant, limits, self._open_call(), time.monotonic() + MOST_S)

    def take(self, tenant: str, limits: Limits) -> Visit | None:
        """Return the tenant's child with these limits that was used last, if one is idle."""
        for visit in reversed(self._idle):
            if visit.tenant == tenant and visit.limits == limits:
                self._idle.remove(visit)
                if not visit.is_over and _is_silent(visit.channel):
                    return visit
                visit.channel.close()
        return None

    def keep(self, visit: Visit) -> None:
        """Take back a child whose call ended well; end it if its time is over."""
        if visit.is_over:
            visit.channel.close()
            return
        self._idle.append(visit)
        if len(self._idle) > self._most:
            self._idle.pop(0).channel.close()
        loop = asyncio.get_running_loop()
        loop.call_later(visit.until - time.monotonic(), self._expire, visit)

    def end(self) -> None:
        """End all idle children."""
        while self._idle:
            self._idle.pop().channel.close()

    def _expire(self, visit: Visit) -> None:
        if visit in self._idle:
            self._idle.remove(visit)
            visit.channel.close()


def _is_silent(channel: socket.socket) -> bool:
    """Return whether a child lives and has said nothing unasked."""
    try:
        channel.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
