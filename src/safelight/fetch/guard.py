"""Connects only to checked addresses, as a network backend for httpcore2.

The name is resolved once, all of its addresses are checked, and the socket connects to one of
exactly those, so DNS rebinding does not work. TLS and the Host header keep the name. Pooled
connections are keyed by name and were checked when they opened.
"""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Protocol, TypedDict, cast

import anyio
import anyio.to_thread
import httpcore2

from safelight.fetch.address import Address, Reach, reach
from safelight.fetch.policy import FetchPolicy
from safelight.fetch.refusal import MALFORMED, PRIVATE, RESERVED, UNRESOLVED, refusal
from safelight.fetch.url import literal

_MAX_ADDRESSES = 64  # per name; more is an attack or a mistake
_MAX_TRIES = 4  # addresses tried before the connection fails
_LOOK_UPS = 128  # concurrently; each name whose server hangs holds one
_KNOWN_WITHIN_S = 3.0  # a slower lookup counts as unknown here
# getaddrinfo's errors for a nonexistent name, as opposed to a failing resolver.
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class PoolLimits(TypedDict):
    """Limits of a connection pool: size, idle connections, and their lifetime in seconds."""

    max_connections: int
    max_keepalive_connections: int
    keepalive_expiry: float


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

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Return the addresses of `host`, all of them allowed; raise `UrlNotAllowed` otherwise."""
        addresses = await self._look_up(host, port)
        if not addresses:
            raise refusal(UNRESOLVED)
        self._judge(host, port, addresses)
        return addresses

    async def refuse_if_known(self, host: str, port: int) -> None:
        """Refuse a host that resolves to a forbidden address here; unknown names pass."""
        try:
            async with asyncio.timeout(min(_KNOWN_WITHIN_S, self._policy.connect_s)):
                addresses = await self._look_up(host, port)
        except (httpcore2.ConnectError, TimeoutError):
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
            raise httpcore2.ConnectError from error
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError from error
        try:
            return list(dict.fromkeys(ip_address(address) for address in found))
        except ValueError:
            raise refusal(UNRESOLVED) from None


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Implements httpcore2's network backend on top of the guard."""

    def __init__(self, names: NameGuard, *, connect_s: float) -> None:
        self._names = names
        self._connect_s = connect_s
        self._network = plain_network()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout or self._connect_s):
                addresses = await self._names.addresses(host, port)
                return await self._connect_any(addresses, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout from None

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore2's signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise refusal(MALFORMED)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _connect_any(
        self, addresses: list[Address], port: int
    ) -> httpcore2.AsyncNetworkStream:
        tried = addresses[:_MAX_TRIES]
        # Split the time, so that an unresponsive first address leaves some for the others.
        each_s = self._connect_s / len(tried)
        last: httpcore2.ConnectError | httpcore2.ConnectTimeout = httpcore2.ConnectError()
        for address in tried:
            try:
                return await self._network.connect_tcp(str(address), port, timeout=each_s)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last


def plain_network() -> httpcore2.AsyncNetworkBackend:
    """Return the unguarded network backend."""
    # httpcore2 types it as its placeholder for installations without anyio.
    return cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())
