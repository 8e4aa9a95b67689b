"""Posts a message to an untrusted URL, with the same guards as downloads."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from safelight.fetch import headers
from safelight.fetch.errors import FetchError, FetchTimeout
from safelight.fetch.guard import Resolver
from safelight.fetch.policy import FetchPolicy
from safelight.fetch.transport import GuardedTransport
from safelight.fetch.url import parse
from safelight.fetch.wire import Response

_READ_BYTES = 2_000  # of the response; the rest is ignored
_PHASE_S = 10.0  # for connecting, and for each silence
_READ_S = 5.0  # for the body; the status, which matters, has arrived by then
_MOST_FIELDS = 30
_MOST_CHARS = 200  # per header field
_PRIVATE = frozenset({"set-cookie", "authorization", "proxy-authenticate", "www-authenticate"})


@dataclass(frozen=True, slots=True)
class Posted:
    """The response: status, headers, first bytes, and the Retry-After delay."""

    status: int
    headers: dict[str, str]
    text: str
    retry_after: timedelta | None


class Poster:
    """Posts within a policy. No redirects, no retries, no cookies."""

    def __init__(
        self, policy: FetchPolicy, resolver: Resolver | None = None, *, total_s: float = 15.0
    ) -> None:
        # Downloads may reach this server's own public files; messages may not.
        self._policy = replace(policy, own_files="", connect_s=_PHASE_S, idle_s=_PHASE_S)
        self._total_s = total_s
        self._transport = GuardedTransport(self._policy, resolver)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transport.aclose()

    async def post(self, url: str, body: bytes, fields: dict[str, str]) -> Posted:
        """Send JSON with these header fields; raise `UrlNotAllowed` or another `FetchError`."""
        target = parse(url, self._policy)
        sent = {
            "Content-Type": "application/json",
            "User-Agent": "Safelight/1 (+webhooks)",
            "Accept-Encoding": "identity",
            **fields,
        }
        try:
            async with asyncio.timeout(self._total_s + _READ_S):
                async with asyncio.timeout(self._total_s):
                    response = await self._transport.send("POST", target, sent, body)
                try:
                    text = await _beginning(response)
                finally:
                    response.close()
        except TimeoutError:
            raise FetchTimeout(f"No answer within {self._total_s:g} s.") from None
        wait = headers.retry_after(response.headers, datetime.now(UTC))
        return Posted(response.status, _fields(response.headers), text, wait)


def _fields(given: Mapping[str, str]) -> dict[str, str]:
    """Return the header fields to show: bounded in number and length, without secrets."""
    shown = [(name, text) for name, text in given.items() if name.lower() not in _PRIVATE]
    return {
        name.lower()[:_MOST_CHARS]: _storable(text[:_MOST_CHARS])
        for name, text in shown[:_MOST_FIELDS]
    }


async def _beginning(response: Response) -> str:
    """Return the start of the body; a broken or slow body does not invalidate the status."""
    gathered = bytearray()
    with suppress(FetchError, TimeoutError):
        async with asyncio.timeout(_READ_S):
            async for part in response.parts():
                gathered += part
                if len(gathered) >= _READ_BYTES:
                    break
    return _storable(bytes(gathered[:_READ_BYTES]).decode(errors="replace"))


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd")
