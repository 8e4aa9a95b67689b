"""Sends requests that a policy allows, directly or through the egress proxy.

The proxy resolves names itself, so its own rules must guard that (decision 0011). Ours refuse what
can be known here.
"""

import ssl
from collections.abc import Mapping

from safelight import telemetry
from safelight.fetch import trust
from safelight.fetch.errors import FetchError, FetchRefused, FetchTimeout
from safelight.fetch.guard import NameGuard, Resolver, SystemResolver
from safelight.fetch.policy import FetchPolicy
from safelight.fetch.url import Url
from safelight.fetch.wire import Body, Request, Response, Wire, WireError

_log = telemetry.logger(__name__)

_MAX_CONNECTIONS = 1024  # in use at once
_CLIENT_ERRORS = range(400, 500)


class GuardedTransport:
    """Sends requests within a policy and raises Safelight's errors."""

    def __init__(
        self, policy: FetchPolicy, resolver: Resolver | None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._policy = policy
        trusted = tls or trust.system()
        self._names = NameGuard(policy, resolver or SystemResolver())
        self._direct = Wire(self._names.addresses, trusted, limit=_MAX_CONNECTIONS)
        self._by_proxy = Wire(SystemResolver().resolve, trusted, limit=_MAX_CONNECTIONS)

    async def send(
        self, method: str, url: Url, headers: Mapping[str, str], body: Body = None
    ) -> Response:
        """Return the response to one request; raise `UrlNotAllowed` or another `FetchError`.

        The deadlines for connecting and for silence are the policy's.
        """
        # The proxy may be unable, or not allowed, to reach this server.
        proxy = None if self._policy.is_own_file(str(url)) else self._policy.proxy
        request = Request(
            method,
            str(url),
            headers,
            connect_s=min(self._policy.connect_s, self._policy.idle_s),
            idle_s=self._policy.idle_s,
            body=body,
            proxy=proxy,
        )
        if proxy is None:
            return await self._direct.send(request, _failed)
        await self._names.refuse_if_known(url.host, url.port)
        return await self._by_proxy.send(request, _failed)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._direct.aclose()
        await self._by_proxy.aclose()


def _failed(error: WireError) -> FetchError:
    if error.proxy_status:
        _log.warning("the egress proxy refused a connection", status=error.proxy_status)
        if error.proxy_status in _CLIENT_ERRORS:
            return FetchRefused("The egress proxy refused to connect there.")
    if error.is_timeout:
        return FetchTimeout("The other server did not answer in time.")
    return FetchError("The connection to the other server failed.")
