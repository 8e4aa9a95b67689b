"""Sends requests through the egress proxy, having looked from here where their names lead.

The connection to the other server is the proxy's, so what a name leads to there is for its own
rules to judge (decision 0011). Ours refuse what can be known here.
"""

import ssl

import httpcore2

from safelight import telemetry
from safelight.fetch.errors import FetchRefused
from safelight.fetch.guard import NameGuard, PoolLimits, plain_network
from safelight.fetch.proxy import Proxy

_log = telemetry.logger(__name__)


class ProxiedPool:
    """Connections through one proxy: by CONNECT for https, in absolute form for http."""

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
        """Answer what the other server answers; raise a `FetchError`, or as httpcore2 does."""
        origin = request.url.origin
        host = origin.host.decode("ascii")
        await self._names.refuse_if_known(host, origin.port)
        try:
            return await self._pool.handle_async_request(
                _bracketed(request, host) if ":" in host else request
            )
        except httpcore2.ProxyError as error:
            status = str(error)[:3]  # what follows are the proxy's own words
            _log.warning("the egress proxy refused a connection", status=status)
            if status.startswith("4"):
                raise FetchRefused("The egress proxy refused to connect there.") from None
            raise

    async def aclose(self) -> None:
        await self._pool.aclose()


def _bracketed(request: httpcore2.Request, host: str) -> httpcore2.Request:
    """Spell an IPv6 address as request lines need it; its certificate is for the bare one."""
    url = request.url
    return httpcore2.Request(
        method=request.method,
        url=httpcore2.URL(scheme=url.scheme, host=f"[{host}]", port=url.port, target=url.target),
        headers=request.headers,
        content=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )
