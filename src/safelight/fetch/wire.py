"""Sends one HTTP request over pooled connections, and says of a failure whether it was sent.

It follows no redirects, keeps no cookies, sends nothing twice and ignores the environment.
"""

import select
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.tracing import Trace
from yarl import URL

from safelight.fetch.proxy import Proxy

# Below the five seconds after which many servers close an idle connection (Node.js, uvicorn).
_IDLE_S = 4.0
_MAX_LINE = 16 * 1024  # bytes of a status line or a header field; there may be 128 fields
_MAX_TRIES = 4  # addresses of a name tried before the connection fails

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses to connect to; may raise `OSError`, and any other error to refuse."""
Form = aiohttp.FormData
Body = bytes | Form | None


class Stage(Enum):
    """The progress of an exchange when it failed."""

    CONNECTING = "connecting"  # nothing was sent
    WAITING = "waiting"  # the request may have arrived
    READING = "reading"  # the response had begun


class WireError(Exception):
    """An exchange failed at a stage. `proxy_status` is that of a proxy which refused a tunnel."""

    def __init__(self, stage: Stage, *, is_timeout: bool = False, proxy_status: int = 0) -> None:
        super().__init__(stage.value)
        self.stage = stage
        self.is_timeout = is_timeout
        self.proxy_status = proxy_status


Failed = Callable[[WireError], Exception]
"""Turns a failure into the caller's own error."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. The URL is sent as it is: ASCII, percent-encoded.

    `connect_s` limits connecting, including the wait for a free connection, a proxy's tunnel and
    TLS; `idle_s` limits each silence of the other side afterwards, in seconds.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    connect_s: float
    idle_s: float | None = None
    body: Body = None
    proxy: Proxy | None = None


class Response:
    """A response whose body is unread. Header names are in lower case."""

    def __init__(self, received: aiohttp.ClientResponse, failed: Failed) -> None:
        self.status = received.status
        self.headers = _fields(received.raw_headers)
        self._received = received
        self._failed = failed

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives; raise the caller's error if it breaks off."""
        try:
            async for part in self._received.content.iter_any():
                yield part
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(_failure(Stage.READING, error)) from error

    def close(self) -> None:
        """End the exchange; a connection whose response is read to its end was kept by then."""
        self._received.close()


class Wire:
    """A pool of connections to the addresses that `resolve` returns, at most `limit` in use.

    `decodes` asks for compressed responses and decompresses them. A limit of 0 is none.
    """

    def __init__(
        self, resolve: Resolve, tls: ssl.SSLContext, *, decodes: bool = False, limit: int = 0
    ) -> None:
        self._resolver = _Resolver(resolve)
        self._tls = tls
        self._decodes = decodes
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request, failed: Failed) -> Response:
        """Return the response; raise what `failed` makes of a failure."""
        session = self._session or self._open()
        headers, to_proxy = dict(request.headers), dict[str, str]()
        proxy = request.proxy
        if proxy and proxy.authorization:
            # A tunnel's requests are the server's to read, all others the proxy's.
            is_tunneled = request.url.startswith("https:")
            (to_proxy if is_tunneled else headers)["Proxy-Authorization"] = proxy.authorization
        try:
            received = await session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body,
                headers=headers,
                # A form has its own; aiohttp would invent one for others.
                skip_auto_headers=() if _is_form(request.body) else ("Content-Type",),
                allow_redirects=False,
                proxy=URL(proxy.url, encoded=True) if proxy else None,
                proxy_headers=to_proxy if proxy else None,
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=request.connect_s, sock_read=request.idle_s
                ),
            )
        except WireError as error:
            raise failed(error) from error.__cause__
        return Response(received, failed)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        # Made by the first request, because it belongs to the running event loop.
        self._session = aiohttp.ClientSession(
            connector=_Connector(self._resolver, self._tls, self._limit),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=self._decodes,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            middlewares=(_once,),
        )
        return self._session


class _Resolver(AbstractResolver):
    """Hands aiohttp the addresses to connect to. It spells out IP addresses itself."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolve(host, port)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found[:_MAX_TRIES]
        ]

    async def close(self) -> None:
        return None


class _Connector(aiohttp.TCPConnector):
    """Knows what went wrong before a request was sent, and reuses no connection that has ended."""

    def __init__(self, resolver: AbstractResolver, tls: ssl.SSLContext, limit: int) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  a tuple of anything in aiohttp
            resolver=resolver,
            use_dns_cache=False,
            ssl=tls,
            limit=limit,
            keepalive_timeout=_IDLE_S,
        )
        self._used = WeakSet[object]()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's signature
    ) -> aiohttp.connector.Connection:
        try:
            connection = await super().connect(req, traces, timeout)
            while connection.protocol in self._used and _has_news(connection):
                connection.close()
                connection = await super().connect(req, traces, timeout)
        except aiohttp.ClientHttpProxyError as error:
            # Its text and fields hold the proxy's credentials.
            raise WireError(Stage.CONNECTING, proxy_status=error.status) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(Stage.CONNECTING, error) from error
        self._used.add(connection.protocol)
        return connection


def _has_news(connection: aiohttp.connector.Connection) -> bool:
    """Return whether an idle connection has something to read, which can only be its end.

    The event loop may not have read it yet.
    """
    if connection.transport is None:
        return True
    poll = select.poll()
    poll.register(connection.transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Hide failures from aiohttp, which would send requests of some methods again."""
    try:
        return await handler(request)
    except (aiohttp.ClientError, OSError) as error:
        raise _failure(Stage.WAITING, error) from error


def _failure(stage: Stage, error: Exception) -> WireError:
    failure = WireError(stage, is_timeout=isinstance(error, TimeoutError))
    failure.__cause__ = error
    return failure


def _is_form(body: Body) -> bool:
    return isinstance(body, Form)


def _fields(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return header fields by name, several of one name joined by commas."""
    fields: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), _text(value)
        fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return fields


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
