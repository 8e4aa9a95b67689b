"""Limits concurrent downloads per host."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _Host:
    free: asyncio.Semaphore
    users: int = 0  # with a slot or waiting for one


class HostSlots:
    """At most `per_host` slots for each host; tracks only hosts in use."""

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def slot(self, host: str, *, wait_s: float) -> AsyncGenerator[None]:
        """Take a slot of `host`; raises `TimeoutError` if none is free within `wait_s` seconds."""
        entry = self._hosts.setdefault(host, _Host(asyncio.Semaphore(self._per_host)))
        entry.users += 1
        try:
            async with asyncio.timeout(wait_s):
                await entry.free.acquire()
            try:
                yield
            finally:
                entry.free.release()
        finally:
            entry.users -= 1
            if not entry.users:
                del self._hosts[host]
