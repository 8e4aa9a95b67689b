"""Resolves names and checks every address that a connection could go to.

A name is resolved once for each connection, all of its addresses are checked, and the socket
connects to one of exactly those, so DNS rebinding does not work. TLS and the Host header keep the
name. Pooled connections are keyed by name and were checked when they opened. An address that a URL
spells out is checked when the URL is parsed.
"""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol

import anyio
import anyio.to_thread

from safelight.fetch.address import Address, Reach, reach
from safelight.fetch.policy import FetchPolicy
from safelight.fetch.refusal import PRIVATE, RESERVED, UNRESOLVED, refusal
from safelight.fetch.url import literal

_MAX_ADDRESSES = 64  # per name; more is an attack or a mistake
_LOOK_UPS = 128  # concurrently; each name whose server hangs holds one
_KNOWN_WITHIN_S = 3.0  # a slower lookup counts as unknown here
# getaddrinfo's errors for a nonexistent name, as opposed to a failing resolver.
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class Resolver(Protocol):
    """Resolves names; raises `OSError` on failure."""

    async def resolve(self, host: str, port: int) -> Sequence[str]: ...


class SystemResolver:
    """Resolves with the operating system, on a thread, because the call blocks."""

    def __init__(self) -> None:
        # Its own threads: a flood of slow lookups must not block other users of threads.
        self._threads = anyio.CapacityLimiter(_LOOK_UPS)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        found = await anyio.to_thread.run_sync(
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
            abandon_on_cancel=True,
            limiter=self._threads,
        )
        return [str(entry[4][0]) for entry in found]


class NameGuard:
    """Resolves names and checks all of their addresses."""

    def __init__(self, policy: FetchPolicy, resolver: Resolver) -> None:
        self._policy = policy
        self._resolver = resolver

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of `host`, all of them allowed; raise `UrlNotAllowed` otherwise.

        Raises `OSError` if the resolver fails.
        """
        addresses = await self._look_up(host, port)
        if not addresses:
            raise refusal(UNRESOLVED)
        self._judge(host, port, addresses)
        return [str(address) for address in addresses]

    async def refuse_if_known(self, host: str, port: int) -> None:
        """Refuse a host that resolves to a forbidden address here; unknown names pass."""
        try:
            async with asyncio.timeout(min(_KNOWN_WITHIN_S, self._policy.connect_s)):
                addresses = await self._look_up(host, port)
        except OSError:  # a timeout too
            return  # only the proxy may be able to resolve names
        self._judge(host, port, addresses)

    def _judge(self, host: str, port: int, addresses: list[Address]) -> None:
        if len(addresses) > _MAX_ADDRESSES:
            raise refusal(UNRESOLVED)
        # `parse` lets only this server's public files pass, so nothing else of it can be reached.
        if self._policy.is_own_server(host, port):
            return
        # One forbidden address suffices to refuse: which one gets used would be chance.
        forbidden = [each for each in addresses if not self._policy.allows_address(each)]
        if any(reach(each) is Reach.NEVER for each in forbidden):
            raise refusal(RESERVED)
        if forbidden:
            raise refusal(PRIVATE)

    async def _look_up(self, host: str, port: int) -> list[Address]:
        """Return all addresses of `host`; none if the name does not exist."""
        spelled = literal(host)
        if spelled is not None:
            return [spelled]
        try:
            found = await self._resolver.resolve(host, port)
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                return []
            raise
        except UnicodeError as error:
            raise OSError("The name cannot be encoded.") from error
        try:
            return list(dict.fromkeys(ip_address(address) for address in found))
        except ValueError:
            raise refusal(UNRESOLVED) from None
