"""Sends requests through the egress proxy, after checking what their names resolve to here.

The proxy resolves names itself, so its own rules must guard that (decision 0011). Ours refuse what
can be known here.
"""

import ssl
from typing import Any, cast

import httpcore2

from safelight import telemetry
from safelight.fetch.errors import FetchRefused
from safelight.fetch.guard import NameGuard, PoolLimits, plain_network
from safelight.fetch.proxy import Proxy

_log = telemetry.logger(__name__)


class ProxiedPool:
    """Connections through one proxy: CONNECT for https, absolute-form requests for http."""

    def __init__(
        self, proxy: Proxy, names: NameGuard, tls: ssl.SSLContext, limits: PoolLimits
    ) -> None:
        self._names = names
        self._pool = httpcore2.AsyncHTTPProxy(
            httpcore2.URL(scheme="http", host=proxy.host, port=proxy.port, target="/"),
            proxy_auth=proxy.login,
            ssl_context=tls,
            network_backend=plain_network(),
            **limits,
        )

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Return the server's response; raise a `FetchError`, or as httpcore2 does."""
        origin = request.url.origin
        host = origin.host.decode("ascii")
        await self._names.refuse_if_known(host, origin.port)
        try:
            return await self._pool.handle_async_request(
                _bracketed(request, host) if ":" in host else request
            )
        except httpcore2.ProxyError as error:
            status = str(error)[:3]  # the rest is the proxy's own text
            _log.warning("the egress proxy refused a connection", status=status)
            if status.startswith("4"):
                raise FetchRefused("The egress proxy refused to connect there.") from None
            raise

    async def aclose(self) -> None:
        await self._pool.aclose()


def _bracketed(request: httpcore2.Request, host: str) -> httpcore2.Request:
    """Bracket an IPv6 address for the request line; TLS verifies the bare address."""
    url = request.url
    return httpcore2.Request(
        method=request.method,
        url=httpcore2.URL(scheme=url.scheme, host=f"[{host}]", port=url.port, target=url.target),
        headers=request.headers,
        content=request.stream,
        extensions={**cast("dict[str, Any]", request.extensions), "sni_hostname": host},
    )
