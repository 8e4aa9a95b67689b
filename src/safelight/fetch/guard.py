"""Opens connections to checked addresses only, as a transport that httpx2 can use.

The name is resolved once, every address it has is judged, and the socket goes to one of those very
addresses, so a name that changes its answer between check and connection gains nothing. TLS and the
Host header keep the name. Kept connections are pooled by name and were checked when they opened.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Protocol, cast

import anyio
import anyio.to_thread
import httpcore2
import httpx2

from safelight.errors import FetchError, FetchTimeout
from safelight.fetch.address import Address
from safelight.fetch.policy import FetchPolicy
from safelight.fetch.url import literal, parse, refusal

_MAX_ADDRESSES = 64  # of one name; more is an attack or a mistake
_MAX_TRIES = 4  # addresses tried before a connection has failed
_LOOK_UPS = 32  # at once
_MAX_CONNECTIONS = 1024
_KEPT_CONNECTIONS = 32
_KEPT_S = 5.0
# What getaddrinfo says of a name that does not exist, as opposed to a resolver in trouble.
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class Resolver(Protocol):
    """Looks names up; raises `OSError` where that fails."""

    async def resolve(self, host: str, port: int) -> Sequence[str]: ...


class SystemResolver:
    """Asks the operating system, on a thread, because its call blocks."""

    def __init__(self) -> None:
        # Its own threads: a flood of slow names must not hold up whoever else needs one.
        self._threads = anyio.CapacityLimiter(_LOOK_UPS)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        found = await anyio.to_thread.run_sync(
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
            abandon_on_cancel=True,
            limiter=self._threads,
        )
        return [str(entry[4][0]) for entry in found]


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Connects by name the way httpcore2 wants it, through the policy."""

    def __init__(self, policy: FetchPolicy, resolver: Resolver) -> None:
        self._policy = policy
        self._resolver = resolver
        # httpcore2 types this one as its stand-in for installations without anyio.
        self._network = cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout or self._policy.connect_s):
                addresses = await self._checked_addresses(host, port)
                return await self._connect_any(addresses, port)
        except TimeoutError:
            raise httpcore2.ConnectTimeout from None

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore2's signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise refusal()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _checked_addresses(self, host: str, port: int) -> list[Address]:
        addresses = await self._look_up(host, port)
        if not addresses or len(addresses) > _MAX_ADDRESSES:
            raise refusal()
        # Only its own public files pass `parse`, so nothing else of this server can be reached.
        if self._policy.is_own_server(host, port):
            return addresses
        # One bad address among good ones is refused too: which is used would be a matter of luck.
        if not all(self._policy.allows_address(address) for address in addresses):
            raise refusal()
        return addresses

    async def _look_up(self, host: str, port: int) -> list[Address]:
        spelled = literal(host)
        if spelled is not None:
            return [spelled]
        try:
            found = await self._resolver.resolve(host, port)
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                raise refusal() from None
            raise httpcore2.ConnectError from error
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError from error
        try:
            return list(dict.fromkeys(ip_address(address) for address in found))
        except ValueError:
            raise refusal() from None

    async def _connect_any(
        self, addresses: list[Address], port: int
    ) -> httpcore2.AsyncNetworkStream:
        tried = addresses[:_MAX_TRIES]
        # A silent first address leaves time for the others.
        each_s = self._policy.connect_s / len(tried)
        last: httpcore2.ConnectError | httpcore2.ConnectTimeout = httpcore2.ConnectError()
        for address in tried:
            try:
                return await self._network.connect_tcp(str(address), port, timeout=each_s)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends requests within a policy and raises Safelight's own errors.

    It follows no redirects, keeps no cookies and reads no proxy settings from the environment.
    """

    def __init__(
        self, policy: FetchPolicy, resolver: Resolver, tls: ssl.SSLContext | None = None
    ) -> None:
        self._policy = policy
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls or httpx2.create_ssl_context(trust_env=False),
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_KEPT_CONNECTIONS,
            keepalive_expiry=_KEPT_S,
            network_backend=GuardedBackend(policy, resolver),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = parse(str(request.url), self._policy)
        if not isinstance(request.stream, httpx2.AsyncByteStream):
            raise TypeError("This transport sends asynchronous requests only.")
        outgoing = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with translated():
            incoming = await self._pool.handle_async_request(outgoing)
        return httpx2.Response(
            incoming.status, headers=incoming.headers, stream=_Body(incoming), request=request
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with translated():
            async for part in self._response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        with translated():
            await self._response.aclose()


@contextmanager
def translated() -> Iterator[None]:
    """Turn the HTTP library's exceptions into `FetchError`s, without its words."""
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise FetchTimeout("The other server did not answer in time.") from error
    except (
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.ProxyError,
        httpcore2.UnsupportedProtocol,
        httpcore2.ConnectionNotAvailable,
    ) as error:
        raise FetchError("The connection to the other server failed.") from error
