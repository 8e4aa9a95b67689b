"""Reads JSON from servers that the operator configured, wherever they are.

The guards against addresses given by users do not apply: an issuer may be on a private network.
Proxies and certificate authorities are the environment's, as for vendors.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlencode

import orjson

from safelight.fetch import trust
from safelight.fetch.environment import EnvironmentProxies
from safelight.fetch.errors import FetchError, FetchTimeout, FetchTooLarge
from safelight.fetch.guard import SystemResolver
from safelight.fetch.wire import Request, Response, Wire, WireError
from safelight.json_object import JsonObject

_CONNECT_S = 3.0
_TOTAL_S = 5.0
_MAX_BYTES = 256 * 1024
_MAX_CONNECTIONS = 16


class TrustedClient:
    """Sends single requests: no redirects, no retries, no cookies.

    A response has five seconds and 256 KiB.
    """

    def __init__(self) -> None:
        self._proxies = EnvironmentProxies()
        self._wire = Wire(SystemResolver().resolve, trust.environment(), limit=_MAX_CONNECTIONS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._wire.aclose()

    async def get(self, url: str) -> JsonObject:
        """Return the JSON object at `url`; raise `FetchError` for anything else."""
        return await self._object("GET", url, {}, None)

    async def post(
        self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]
    ) -> JsonObject:
        """Post a form; return the JSON object of the response. Raises `FetchError`."""
        typed = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return await self._object("POST", url, typed, urlencode(fields).encode())

    async def _object(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> JsonObject:
        sent = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "Safelight/1",
            **headers,
        }
        request = Request(
            method, url, sent, _CONNECT_S, body=body, proxy=self._proxies.proxy_for(url)
        )
        try:
            async with asyncio.timeout(_TOTAL_S):
                response = await self._wire.send(request, _failed)
                try:
                    text = await _whole(response)
                finally:
                    response.close()
        except TimeoutError:
            raise FetchTimeout(f"No response within {_TOTAL_S:g} s.") from None
        return _read(text)


async def _whole(response: Response) -> bytes:
    if response.status != HTTPStatus.OK:
        raise FetchError(f"The other server answered with status {response.status}.")
    body = bytearray()
    async for part in response.parts():
        body += part
        if len(body) > _MAX_BYTES:
            raise FetchTooLarge(f"The response is larger than {_MAX_BYTES} bytes.")
    return bytes(body)


def _read(text: bytes) -> JsonObject:
    try:
        document: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise FetchError("The response is not JSON.") from None
    if not isinstance(document, dict):
        raise FetchError("The response is not a JSON object.")
    return cast("JsonObject", document)


def _failed(error: WireError) -> FetchError:
    if error.is_timeout:
        return FetchTimeout("The other server did not answer in time.")
    return FetchError("The connection to the other server failed.")
