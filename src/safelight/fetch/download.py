"""Downloads one file from an untrusted URL, with all guards applied."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import Self, TypeVarTuple

from safelight.fetch import headers
from safelight.fetch.body import BodyWriter
from safelight.fetch.errors import FetchError, FetchRefused, FetchTimeout, FetchTooLarge
from safelight.fetch.guard import Resolver
from safelight.fetch.pauses import HostPauses
from safelight.fetch.policy import FetchPolicy
from safelight.fetch.slots import HostSlots
from safelight.fetch.transport import GuardedTransport
from safelight.fetch.url import Url, follow, parse
from safelight.fetch.wire import Response

Arguments = TypeVarTuple("Arguments")
OnProgress = Callable[[int, int | None], None]

_WRITE_BYTES = 256 * 1024  # buffered before each write on a thread
_REDIRECTS = frozenset(
    {
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    }
)
# With a Retry-After, these apply to the whole host, not to one file.
_ASKS_FOR_A_PAUSE = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
# Transient client errors: the same request may succeed later.
_PASSING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A finished download. `media_type` is the server's claim; sniff the file."""

    path: Path
    final_url: str
    media_type: str
    bytes: int
    sha256: str
    name: str


@dataclass(frozen=True, slots=True)
class _Order:
    to: Path
    max_bytes: int
    on_progress: OnProgress | None


class Fetcher:
    """Downloads within a policy. Never retries: errors are typed, and jobs decide.

    `resolver` and `tls` replace the operating system's in tests and closed networks.
    """

    def __init__(
        self,
        policy: FetchPolicy,
        resolver: Resolver | None = None,
        *,
        tls: SSLContext | None = None,
    ) -> None:
        self._policy = policy
        self._transport = GuardedTransport(policy, resolver, tls)
        self._slots = HostSlots(policy.per_host)
        self._pauses = HostPauses(longest=timedelta(seconds=policy.max_pause_s))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all pooled connections."""
        await self._transport.aclose()

    async def download(
        self,
        url: str,
        *,
        to: Path,
        max_bytes: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Fetched:
        """Download `url` to the file `to`; on failure, no file is left.

        `on_progress` receives the bytes written and, if the server declared it, the total.
        Raises `UrlNotAllowed`, `FetchRefused`, `FetchTooLarge`, `FetchTimeout`, `FetchPaused` or
        `FetchError`.
        """
        limit = self._policy.max_bytes if max_bytes is None else max_bytes
        order = _Order(to, min(limit, self._policy.max_bytes), on_progress)
        clock = asyncio.get_running_loop().time
        left_s = self._policy.total_s
        target = parse(url, self._policy)
        for _ in range(self._policy.max_redirects + 1):
            # Waiting for a slot does not count against the server's time limit.
            try:
                async with self._slots.slot(target.host, wait_s=self._policy.total_s):
                    began = clock()
                    async with asyncio.timeout(left_s):
                        outcome = await self._hop(target, order)
                    left_s -= clock() - began
            except TimeoutError:
                raise FetchTimeout(
                    f"The download took longer than {self._policy.total_s:g} s."
                ) from None
            if isinstance(outcome, Fetched):
                return outcome
            target = outcome
        raise FetchRefused("The address redirects too many times.")

    async def _hop(self, url: Url, order: _Order) -> Fetched | Url:
        # Checked after the slot is acquired: the pause may have started while this call waited.
        self._pauses.check(url.host)
        async with self._answer(url) as response:
            if response.status in _REDIRECTS and "location" in response.headers:
                return follow(url, response.headers["location"], self._policy)
            self._refuse_status(url.host, response)
            return await self._save(url, response, order)

    def _refuse_status(self, host: str, response: Response) -> None:
        status = response.status
        if status == HTTPStatus.OK:
            return
        detail = f"The other server answered with status {status}."
        if HTTPStatus(400) <= status < HTTPStatus(500) and status not in _PASSING:
            raise FetchRefused(detail)
        wait = headers.retry_after(response.headers, datetime.now(UTC))
        if wait and status in _ASKS_FOR_A_PAUSE:
            self._pauses.note(host, wait)
        raise FetchError(detail, retry_after=wait)

    @asynccontextmanager
    async def _answer(self, url: Url) -> AsyncGenerator[Response]:
        # Each hop is a new request with only these headers, so nothing leaks to another host.
        response = await self._transport.send(
            "GET",
            url,
            {
                "User-Agent": self._policy.user_agent,
                "Accept": "image/*,*/*;q=0.5",
                "Accept-Encoding": "identity",
            },
        )
        try:
            yield response
        finally:
            response.close()

    async def _save(self, url: Url, response: Response, order: _Order) -> Fetched:
        encoding = headers.content_coding(response.headers)
        length = headers.content_length(response.headers)
        if length is not None and length > order.max_bytes:
            raise FetchTooLarge(f"The download is larger than {order.max_bytes} bytes.")
        with BodyWriter(order.to, max_bytes=order.max_bytes, encoding=encoding) as writer:
            async for chunk in _gathered(response):
                await _on_thread(writer.write, chunk)
                if order.on_progress:
                    order.on_progress(writer.bytes, None if encoding else length)
            await _on_thread(writer.finish)
        return Fetched(
            path=order.to,
            final_url=str(url),
            media_type=headers.media_type(response.headers),
            bytes=writer.bytes,
            sha256=writer.sha256,
            name=headers.file_name(response.headers, url.path),
        )


async def _on_thread(work: Callable[[*Arguments], None], *arguments: *Arguments) -> None:
    """Run `work` to completion even if canceled, because the file is closed next."""
    running = asyncio.get_running_loop().run_in_executor(None, work, *arguments)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        running.exception()  # retrieved, so that the loop does not report it as unhandled
        raise


async def _gathered(response: Response) -> AsyncIterator[bytes]:
    gathered = bytearray()
    async for part in response.parts():
        gathered += part
        if len(gathered) >= _WRITE_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)
