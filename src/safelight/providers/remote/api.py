"""HTTP client for vendor APIs: every call has a deadline, and every error says if it may have cost.

Base URLs come from the settings. Result URLs in a vendor's response are untrusted and are
downloaded through `safelight.fetch`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, cast

import httpx2

from safelight.errors import SafelightError
from safelight.fetch.headers import retry_after
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderOutOfCredit,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnauthorized,
    UnknownOutcome,
)
from safelight.providers.remote.untrusted import parse

MIB = 2**20
_CONNECT_S = 10.0
_MAX_ANSWER = 16 * MIB
_EXCERPT = 500  # characters of a response quoted in an error

# A proxy or the vendor timed out mid-request: the work may still be running.
_GAVE_UP = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT, 520, 522, 524}
)
_BY_STATUS: dict[int, type[ProviderError]] = {
    HTTPStatus.UNAUTHORIZED: ProviderUnauthorized,
    HTTPStatus.PAYMENT_REQUIRED: ProviderOutOfCredit,
    HTTPStatus.FORBIDDEN: ProviderUnauthorized,
    HTTPStatus.TOO_MANY_REQUESTS: ProviderRateLimited,
    HTTPStatus.BAD_REQUEST: ProviderBadInput,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ProviderBadInput,
    HTTPStatus.UNPROCESSABLE_ENTITY: ProviderBadInput,
}
# Raised before anything was sent.
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response: status, headers in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def document(self) -> Any:
        """The body as JSON, or None if it is not JSON."""
        return parse(self.body)

    @property
    def excerpt(self) -> str:
        """The beginning of the body, for error messages."""
        return self.body[: 4 * _EXCERPT].decode(errors="replace").replace("\x00", "")[:_EXCERPT]


Explain = Callable[[Answer], SafelightError | None]
Lost = Callable[[str], SafelightError]
Opened = tuple[httpx2.Response, Lost]
"""A streaming response, and the error class to raise if it breaks off."""


@dataclass(frozen=True, slots=True)
class Sending:
    """The payload of a call: JSON, form fields with files, or plain bytes."""

    json: Any = None
    fields: Mapping[str, str] | None = None
    files: list[tuple[str, tuple[str, Any, str]]] | None = None
    content: bytes | None = None
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None


class Api:
    """Client for one vendor's API. `explain` may map a response to a more precise error.

    A call that `pays` raises `UnknownOutcome` if it was sent and its response was lost: the caller
    must not repeat it. Any other error guarantees that nothing was started.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        explain: Explain | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._explain = explain
        self._http = httpx2.AsyncClient(
            headers={"User-Agent": "Safelight/1", **headers},
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=64),
            follow_redirects=False,
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        sending: Sending | None = None,
        *,
        pays: bool = False,
        answer_s: float = 60.0,
        max_bytes: int = _MAX_ANSWER,
    ) -> Answer:
        """Return the response of a successful call, with a body of at most `max_bytes`."""
        async with self.stream(method, path, sending, pays=pays, answer_s=answer_s) as opened:
            return await _whole(*opened, max_bytes)

    async def ask(
        self, method: str, path: str, *, answer_s: float = 60.0, max_bytes: int = _MAX_ANSWER
    ) -> Answer:
        """Return the response of a free call, whatever its status.

        For endpoints whose error statuses carry information about the work; `error` maps the
        others.
        """
        async with self._opened(method, path, None, pays=False, answer_s=answer_s) as opened:
            return await _whole(*opened, max_bytes)

    def error(self, answer: Answer, *, pays: bool = False) -> SafelightError:
        """Return the error that an unsuccessful status means."""
        return (self._explain(answer) if self._explain else None) or refusal(answer, pays=pays)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        sending: Sending | None = None,
        *,
        pays: bool = False,
        answer_s: float = 60.0,
    ) -> AsyncGenerator[Opened]:
        """Yield a successful response unread, and the error class to raise if it breaks off.

        `answer_s` covers the whole exchange, from connecting to the last byte.
        """
        async with self._opened(method, path, sending, pays=pays, answer_s=answer_s) as opened:
            if not opened[0].is_success:
                raise self.error(await _excerpt(opened[0]), pays=pays)
            yield opened

    @asynccontextmanager
    async def _opened(
        self, method: str, path: str, sending: Sending | None, *, pays: bool, answer_s: float
    ) -> AsyncGenerator[Opened]:
        sending = sending or Sending()
        lost = UnknownOutcome if pays else ProviderError
        request = self._http.build_request(
            method,
            path if path.startswith(("http://", "https://")) else self.base_url + path,
            json=sending.json,
            data=cast("dict[str, Any] | None", sending.fields),
            files=sending.files,
            content=sending.content,
            params=sending.params,
            headers=sending.headers,
            # A vendor may be silent while it works, so only the whole exchange has a limit.
            timeout=httpx2.Timeout(answer_s, connect=_CONNECT_S),
        )
        try:
            async with asyncio.timeout(answer_s):
                response = await self._sent(request, lost)
                try:
                    yield response, lost
                finally:
                    await response.aclose()
        except TimeoutError:
            raise lost(f"The provider did not respond within {answer_s:g} s.") from None

    async def _sent(self, request: httpx2.Request, lost: Lost) -> httpx2.Response:
        try:
            return await self._http.send(request, stream=True)
        except _UNSENT as error:
            raise ProviderError("The provider is unreachable.") from error
        except httpx2.HTTPError as error:
            raise lost("The connection to the provider broke before it responded.") from error


async def _whole(response: httpx2.Response, lost: Lost, max_bytes: int) -> Answer:
    body = bytearray()
    try:
        async for part in response.aiter_bytes():
            body += part
            if len(body) > max_bytes:
                raise lost(f"The provider's response is larger than {max_bytes} bytes.")
    except httpx2.HTTPError as error:
        raise lost("The provider's response broke off.") from error
    return Answer(response.status_code, _lower(response.headers), bytes(body))


async def _excerpt(response: httpx2.Response) -> Answer:
    """Return an error response with at most a mebibyte of its body."""
    body = bytearray()
    try:
        async for part in response.aiter_bytes():
            body += part
            if len(body) > MIB:
                break
    except httpx2.HTTPError:
        body += b" (broken off)"
    return Answer(response.status_code, _lower(response.headers), bytes(body))


def refusal(answer: Answer, *, pays: bool) -> SafelightError:
    """Return the error that an unsuccessful status means at any vendor."""
    detail = f"The provider responded with status {answer.status}: {answer.excerpt}"
    if pays and (answer.status in _GAVE_UP or _is_crash(answer)):
        return UnknownOutcome(detail)
    kind = _BY_STATUS.get(answer.status)
    if kind is None:
        passing = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in _GAVE_UP
        kind = ProviderError if passing else ProviderRejected
    return kind(detail, retry_after=wait_of(answer))


def _is_crash(answer: Answer) -> bool:
    """Return whether the server crashed without a JSON error, possibly after starting the work."""
    is_broken = answer.status == HTTPStatus.INTERNAL_SERVER_ERROR
    return is_broken and not isinstance(answer.document, dict)


def wait_of(answer: Answer) -> timedelta | None:
    """Return how long the vendor asks to wait, if it does."""
    return retry_after(answer.headers, _sent_at(answer) or datetime.now(UTC))


def _sent_at(answer: Answer) -> datetime | None:
    """Return the response time by the vendor's own clock, which `Retry-After` dates refer to."""
    try:
        sent_at = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    return sent_at if sent_at.tzinfo else sent_at.replace(tzinfo=UTC)


def _lower(headers: httpx2.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
