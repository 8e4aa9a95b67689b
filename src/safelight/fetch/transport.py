"""An httpx2 transport that enforces the policy, directly or through the egress proxy."""

import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager

import httpcore2
import httpx2

from safelight.fetch.egress import ProxiedPool
from safelight.fetch.errors import FetchError, FetchTimeout
from safelight.fetch.guard import GuardedBackend, NameGuard, PoolLimits, Resolver
from safelight.fetch.policy import FetchPolicy
from safelight.fetch.url import parse

_LIMITS = PoolLimits(max_connections=1024, max_keepalive_connections=32, keepalive_expiry=5.0)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Sends requests within a policy and raises Safelight's errors.

    It follows no redirects, keeps no cookies and reads no proxy settings from the environment.
    """

    def __init__(
        self, policy: FetchPolicy, resolver: Resolver, tls: ssl.SSLContext | None = None
    ) -> None:
        self._policy = policy
        trusted = tls or httpx2.create_ssl_context(trust_env=False)
        names = NameGuard(policy, resolver)
        self._direct = httpcore2.AsyncConnectionPool(
            ssl_context=trusted,
            network_backend=GuardedBackend(names, connect_s=policy.connect_s),
            **_LIMITS,
        )
        self._proxied = (
            None if policy.proxy is None else ProxiedPool(policy.proxy, names, trusted, _LIMITS)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        text = str(request.url)
        url = parse(text, self._policy)
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
            incoming = await self._way_to(text).handle_async_request(outgoing)
        return httpx2.Response(
            incoming.status, headers=incoming.headers, stream=_Body(incoming), request=request
        )

    async def aclose(self) -> None:
        await self._direct.aclose()
        if self._proxied is not None:
            await self._proxied.aclose()

    def _way_to(self, url: str) -> httpcore2.AsyncConnectionPool | ProxiedPool:
        # The proxy may be unable, or not allowed, to reach this server.
        if self._proxied is None or self._policy.is_own_file(url):
            return self._direct
        return self._proxied


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
def translated() -> Generator[None]:
    """Turn the HTTP library's exceptions into `FetchError`s, without their texts."""
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
