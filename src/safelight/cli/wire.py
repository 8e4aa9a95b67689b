"""Sends the command line's requests: every call has a deadline, every failure is one clear line."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, TypedDict, Unpack
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2

from safelight.cli.failure import BadUse, Failure, Received, Unreachable, refusal

_CONNECT_S = 5.0
_SILENCE_S = 45.0  # three heartbeats of a stream
_ANSWER_S = 60.0
TRANSFER_S = 900.0
_CHUNK = 1 << 16
_TRIES = 2

Picture = tuple[str, BinaryIO | bytes]  # file name and content


class _Request(TypedDict, total=False):
    json: Mapping[str, Any]
    content: bytes
    data: Mapping[str, str]
    files: Sequence[tuple[str, Picture]]
    params: Mapping[str, Any]


class Wire:
    """Connections to one server, with an API key."""

    def __init__(self, url: str, key: str, transport: httpx2.AsyncBaseTransport | None) -> None:
        self.url = url.rstrip("/")
        try:
            is_local = httpx2.URL(self.url).host in ("127.0.0.1", "localhost", "::1")
        except httpx2.InvalidURL:
            raise BadUse(f"{url} is not an address.") from None
        self._is_local = is_local
        self._transport = transport
        self.http = self._open({"Authorization": f"Bearer {key}"})

    async def close(self) -> None:
        """Close the connections."""
        await self.http.aclose()

    def _open(self, headers: Mapping[str, str]) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=httpx2.Timeout(_SILENCE_S, connect=_CONNECT_S),
            # Proxies are for other machines, whatever the environment says.
            trust_env=not self._is_local,
            transport=self._transport,
        )

    async def submit(self, path: str, **request: Unpack[_Request]) -> object:
        """Send work once, even if the answer is lost: the key makes a repetition harmless."""
        key = {"Idempotency-Key": f"cli-{uuid4().hex}"}
        for left in reversed(range(_TRIES)):
            try:
                answer = await self.call("POST", path, limit_s=TRANSFER_S, headers=key, **request)
            except _AnswerLost:
                if not left:
                    raise
            else:
                return answer.json()
        raise AssertionError("unreachable")

    async def call(
        self,
        method: str,
        path: str,
        *,
        limit_s: float = _ANSWER_S,
        headers: Mapping[str, str] | None = None,
        **request: Unpack[_Request],
    ) -> httpx2.Response:
        """Return the answer to one request; raise `Refused` or `Unreachable`."""
        try:
            async with asyncio.timeout(limit_s):
                answer = await self.http.request(method, path, headers=headers, **request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol) as error:
            raise Unreachable(f"No server answers at {self.url}: {_reason(error)}.") from None
        except (httpx2.TransportError, TimeoutError) as error:
            raise _AnswerLost(f"No answer came from {self.url}: {_reason(error)}.") from None
        await check(answer)
        return answer

    async def save(self, url: str, target: Path, *, with_key: bool) -> None:
        """Write the file at `url` to `target`, which is replaced only by a whole file."""
        if with_key:
            await self._save(url, target, self.http)
            return
        async with self._open({}) as http:
            await self._save(url, target, http)

    async def _save(self, url: str, target: Path, http: httpx2.AsyncClient) -> None:
        draft = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
        try:
            async with (
                asyncio.timeout(TRANSFER_S),
                http.stream("GET", url, follow_redirects=True) as answer,
            ):
                await check(answer)
                with draft.open("wb") as file:
                    async for chunk in answer.aiter_bytes(_CHUNK):
                        await asyncio.to_thread(file.write, chunk)
                    await asyncio.to_thread(_settle, file)
            await asyncio.to_thread(draft.replace, target)
        except (httpx2.TransportError, TimeoutError) as error:
            raise Unreachable(f"{target.name} could not be downloaded: {_reason(error)}.") from None
        except OSError as error:
            raise Failure(f"{target} cannot be written: {error.strerror}.") from None
        finally:
            draft.unlink(missing_ok=True)


class _AnswerLost(Unreachable):
    """The request may have arrived."""


async def check(answer: httpx2.Response) -> None:
    """Raise `Refused` unless the answer is a success."""
    if answer.status_code < HTTPStatus.BAD_REQUEST:
        return
    await answer.aread()
    seen = {"status": answer.status_code, "retry_after_s": _retry_after(answer)}
    try:
        problem: Received = answer.json()
        raise refusal({**problem, **seen})
    except (ValueError, TypeError):
        where = urlsplit(str(answer.url)).netloc
        text = f"{where} answered {answer.status_code} {answer.reason_phrase}"
        raise refusal({"title": text.rstrip(), **seen}) from None


def _retry_after(answer: httpx2.Response) -> float:
    """Return the seconds that the server asks to wait; dates, which it never sends, are none."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
