"""HTTP client for vendor APIs: every call has a deadline, and every error says if it may have cost.

Base URLs come from the settings. Result URLs in a vendor's response are untrusted and are
downloaded through `safelight.fetch`.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from safelight.errors import SafelightError
from safelight.fetch import trust
from safelight.fetch.environment import EnvironmentProxies
from safelight.fetch.guard import SystemResolver
from safelight.fetch.headers import retry_after
from safelight.fetch.url import encode
from safelight.fetch.wire import Failed, Form, Request, Response, Stage, Wire, WireError
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


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response: status, headers in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        return is_success(self.status)

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
Opened = tuple[Response, Lost]
"""A streaming response, and the error class that it raises if it breaks off."""


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
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._explain = explain
        self._headers = {"User-Agent": "Safelight/1", **headers}
        self._proxies = EnvironmentProxies()
        self._wire = Wire(SystemResolver().resolve, trust.environment(), decodes=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._wire.aclose()

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
            return await _answer(*opened, max_bytes)

    async def ask(
        self, method: str, path: str, *, answer_s: float = 60.0, max_bytes: int = _MAX_ANSWER
    ) -> Answer:
        """Return the response of a free call, whatever its status.

        For endpoints whose error statuses carry information about the work; `error` maps the
        others.
        """
        async with self._opened(method, path, None, pays=False, answer_s=answer_s) as opened:
            return await _answer(*opened, max_bytes)

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
            if not is_success(opened[0].status):
                raise self.error(await _excerpt(opened[0]), pays=pays)
            yield opened

    @asynccontextmanager
    async def _opened(
        self, method: str, path: str, sending: Sending | None, *, pays: bool, answer_s: float
    ) -> AsyncGenerator[Opened]:
        lost = UnknownOutcome if pays else ProviderError
        request = self._request(method, path, sending or Sending())
        try:
            # A vendor may be silent while it works, so only the whole exchange has a limit.
            async with asyncio.timeout(answer_s):
                response = await self._wire.send(request, _failed(lost))
                try:
                    yield response, lost
                finally:
                    response.close()
        except TimeoutError:
            raise lost(f"The provider did not respond within {answer_s:g} s.") from None

    def _request(self, method: str, path: str, sending: Sending) -> Request:
        url = encode(path if path.startswith(("http://", "https://")) else self.base_url + path)
        if sending.params:
            url += f"{'&' if '?' in url else '?'}{urlencode(sending.params)}"
        body, typed = _body(sending)
        headers = {**self._headers, **typed, **(sending.headers or {})}
        proxy = self._proxies.proxy_for(url)
        return Request(method, url, headers, connect_s=_CONNECT_S, body=body, proxy=proxy)


def _body(sending: Sending) -> tuple[bytes | Form | None, Mapping[str, str]]:
    """Return the body of a call, and the header that declares its type."""
    if sending.json is not None:
        text = json.dumps(sending.json, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode(), {"Content-Type": "application/json"}
    if sending.files is None:
        return sending.content, {}
    form = Form()
    for name, value in (sending.fields or {}).items():
        form.add_field(name, value)
    for name, (file_name, handle, media_type) in sending.files:
        form.add_field(name, handle, filename=file_name, content_type=media_type)
    return form, {}


def _failed(lost: Lost) -> Failed:
    """Return the errors of a call: `lost` once anything may have been sent."""

    def failed(error: WireError) -> SafelightError:
        match error.stage:
            case Stage.CONNECTING:
                return ProviderError("The provider is unreachable.")
            case Stage.WAITING:
                return lost("The connection to the provider broke before it responded.")
            case Stage.READING:
                return lost("The provider's response broke off.")

    return failed


def is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


async def whole(response: Response, lost: Lost, max_bytes: int) -> bytes:
    """Return the body of a response; a longer one than `max_bytes` is lost."""
    body = bytearray()
    async for part in response.parts():
        body += part
        if len(body) > max_bytes:
            raise lost(f"The provider's response is larger than {max_bytes} bytes.")
    return bytes(body)


async def _answer(response: Response, lost: Lost, max_bytes: int) -> Answer:
    return Answer(response.status, response.headers, await whole(response, lost, max_bytes))


async def _excerpt(response: Response) -> Answer:
    """Return an error response with at most a mebibyte of its body."""
    body = bytearray()
    try:
        async for part in response.parts():
            body += part
            if len(body) > MIB:
                break
    except SafelightError:
        body += b" (broken off)"
    return Answer(response.status, response.headers, bytes(body))


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
