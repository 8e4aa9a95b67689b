"""A typed client of the HTTP API: every call has a deadline, every failure is one clear line."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Self, TypedDict, Unpack, cast
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

import httpx2

from safelight.cli.documents import Document
from safelight.cli.failure import BadUse, Failure, Received, Refused, Unreachable, refusal
from safelight.cli.progress import Update, read_event
from safelight.documents import (
    Account,
    Asset,
    Batch,
    Check,
    DeadLetter,
    Job,
    Lanes,
    LaneState,
    Model,
    Redriven,
    Worker,
)

_CONNECT_S = 5.0
_SILENCE_S = 45.0  # three heartbeats of a stream
_ANSWER_S = 60.0
_TRANSFER_S = 900.0
# where the caller sets no limit
_LISTED = 50
_REDRIVEN = 1_000
_RECONNECTS = 8
_MOST_REST_S = 5.0
_MAX_EVENT_BYTES = 64 << 20  # the snapshot of a batch of 1,000
_CHUNK = 1 << 16
_BEST_QUALITY = 95
_TRIES = 2

Picture = tuple[str, BinaryIO | bytes]  # file name and content


class _Request(TypedDict, total=False):
    json: Mapping[str, Any]
    content: bytes
    data: Mapping[str, str]
    files: Sequence[tuple[str, Picture]]
    params: Mapping[str, Any]


class Client:
    """One server, as one API key may use it."""

    def __init__(
        self, url: str, key: str, *, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/")
        try:
            is_local = httpx2.URL(self.url).host in ("127.0.0.1", "localhost", "::1")
        except httpx2.InvalidURL:
            raise BadUse(f"{url} is not an address.") from None
        self._is_local = is_local
        self._transport = transport
        self._http = self._open({"Authorization": f"Bearer {key}"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def _open(self, headers: Mapping[str, str]) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=httpx2.Timeout(_SILENCE_S, connect=_CONNECT_S),
            # Proxies are for other machines, whatever the environment says.
            trust_env=not self._is_local,
            transport=self._transport,
        )

    # --- submit ------------------------------------------------------------------------------

    async def generate(self, wanted: Mapping[str, Any]) -> Job:
        """Send a prompt; `wanted` is the body of `POST /v1/generate`."""
        return cast("Job", await self._submit("/v1/generate", json=wanted))

    async def import_images(self, urls: Sequence[str], tags: Sequence[str] = ()) -> Document:
        """Send one address, or several as a batch."""
        body: dict[str, Any] = {"url": urls[0]} if len(urls) == 1 else {"urls": list(urls)}
        if tags:
            body["tags"] = list(tags)
        return cast("Document", await self._submit("/v1/images", json=body))

    async def import_chunk(self, body: bytes, key: str) -> Batch:
        """Send a batch of addresses as it was put together, under a key of the caller's."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        answer = await self._call(
            "POST", "/v1/images", limit_s=_TRANSFER_S, headers=headers, content=body
        )
        return cast("Batch", answer.json())

    async def make_3d(self, pictures: Sequence[Picture], wanted: Mapping[str, Any]) -> Batch:
        """Send pictures to be made 3D models of; `wanted` is what is said beside the files."""
        files = [("files", picture) for picture in pictures]
        fields = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in wanted.items()
        }
        return cast("Batch", await self._submit("/v1/upload/batch", files=files, data=fields))

    async def make_batch(self, wanted: Mapping[str, Any]) -> Batch:
        """Send items to be made 3D models of; `wanted` is the body of `POST /v1/batches`."""
        return cast("Batch", await self._submit("/v1/batches", json=wanted))

    async def upload(self, picture: Picture) -> Asset:
        """Keep a picture to refer to."""
        answer = await self._call(
            "POST", "/v1/uploads", limit_s=_TRANSFER_S, files=[("file", picture)]
        )
        return cast("Asset", answer.json())

    # --- look and change ---------------------------------------------------------------------

    async def get(self, subject: str) -> Document:
        """Return a job or a batch."""
        return cast("Document", (await self._call("GET", _path(subject))).json())

    async def batch(self, batch_id: str) -> Batch:
        """Return a batch."""
        return cast("Batch", (await self._call("GET", _path(batch_id))).json())

    async def account(self) -> Account:
        """Return the account that the key belongs to."""
        return cast("Account", (await self._call("GET", "/v1/account")).json())

    async def login_link(self) -> str:
        """Return a link that signs a browser in once."""
        return (await self._call("POST", "/v1/login-links")).json()["url"]

    async def jobs(self, **chosen: str | int) -> list[Job]:
        """Return the newest jobs, filtered as `GET /v1/jobs` does."""
        return await self._list("/v1/jobs", chosen)

    async def _list(self, path: str, chosen: Mapping[str, str | int]) -> list[Any]:
        """Return up to `limit` entries, page by page: one with few of them need not be the last."""
        found: list[Any] = []
        wanted: dict[str, str | int] = {**chosen}
        most = int(chosen.get("limit", _LISTED))
        while True:
            wanted["limit"] = most - len(found)
            page = (await self._call("GET", path, params=wanted)).json()
            found += page["data"]
            if page["next_cursor"] is None or len(found) >= most:
                return found
            wanted["cursor"] = page["next_cursor"]

    async def assets(self, chosen: Mapping[str, Any]) -> list[Asset]:
        """Return the newest assets that match, as `GET /v1/assets` finds them."""
        return (await self._call("GET", "/v1/assets", params=chosen)).json()["data"]

    async def models(self) -> list[Model]:
        """Return what can be asked for."""
        return (await self._call("GET", "/v1/models")).json()["data"]

    async def cancel(self, subject: str) -> Document:
        """End a job that has not ended, or all such jobs of a batch."""
        return cast("Document", (await self._call("POST", f"{_path(subject)}/cancel")).json())

    async def redrive(self, subject: str) -> Document:
        """Queue a failed or canceled job anew, or all failed ones of a batch."""
        return cast("Document", (await self._call("POST", f"{_path(subject)}/redrive")).json())

    async def download_batch(
        self, batch_id: str, target: Path, *, form: str | None, previews: bool
    ) -> None:
        """Write the ZIP of a batch to `target`."""
        chosen = {"format": form, "previews": "true" if previews else None}
        query = urlencode({name: value for name, value in chosen.items() if value is not None})
        path = f"{_path(batch_id)}/download?{query}"
        await self._save(target, lambda draft: self._stream_to(path, draft, self._http))

    async def download_model(self, asset_id: str, form: str, target: Path) -> None:
        """Write a 3D model, converted to another format, to `target`."""
        # The key goes to this server alone: where it leads elsewhere, the address is public.
        path = f"/v1/assets/{quote(asset_id, safe='')}/formats/{form}"
        await self._save(target, lambda draft: self._stream_to(path, draft, self._http))

    async def picture_url(self, asset_id: str, form: str) -> str:
        """Return the signed URL of a picture in another format."""
        path = f"/v1/assets/{quote(asset_id, safe='')}/renditions"
        answer = await self._call("GET", path, params={"format": form, "quality": _BEST_QUALITY})
        return str(answer.json()["url"])

    # --- operate -----------------------------------------------------------------------------

    async def checks(self, provider: str | None) -> list[Check]:
        """Return how every part is, or one provider."""
        path = f"/v1/admin/checks/{quote(provider, safe='')}" if provider else "/v1/admin/checks"
        return (await self._call("POST", path, limit_s=_TRANSFER_S)).json()["data"]

    async def lanes(self) -> Lanes:
        """Return what stands in each lane."""
        return cast("Lanes", (await self._call("GET", "/v1/admin/lanes")).json())

    async def workers(self) -> list[Worker]:
        """Return the processes that do the work."""
        return (await self._call("GET", "/v1/admin/workers")).json()["data"]

    async def pause(self, lane: str) -> LaneState:
        """Let a lane start nothing more."""
        return cast("LaneState", (await self._call("POST", f"{_lane_path(lane)}/pause")).json())

    async def resume(self, lane: str) -> LaneState:
        """Let a lane start jobs again."""
        return cast("LaneState", (await self._call("POST", f"{_lane_path(lane)}/resume")).json())

    async def dead_letters(self, **chosen: str | int) -> list[DeadLetter]:
        """Return the jobs that failed last, of all accounts."""
        return await self._list("/v1/admin/dead-letters", chosen)

    async def redrive_all(self, wanted: Mapping[str, Any], *, as_admin: bool) -> Redriven:
        """Queue failed jobs anew: the account's own, or any as an admin."""
        path = "/v1/admin/dead-letters/redrive" if as_admin else "/v1/jobs/redrive"
        left = wanted.get("limit", _REDRIVEN)
        done: Redriven = {"redriven": 0, "skipped": 0, "next_cursor": None}
        cursor: str | None = None
        while True:
            body = {**wanted, "limit": left, "cursor": cursor}
            part = (await self._call("POST", path, limit_s=_TRANSFER_S, json=body)).json()
            done["redriven"] += part["redriven"]
            done["skipped"] += part["skipped"]
            left -= part["redriven"]
            cursor = part["next_cursor"]
            if cursor is None or not left:
                return done

    # --- follow and fetch --------------------------------------------------------------------

    async def follow(self, subject: str) -> AsyncGenerator[Update]:
        """Yield what happens to a job or batch until it is final, across lost connections."""
        last_id = ""
        failures = 0
        while True:
            try:
                async for event_id, update in self._listen(subject, last_id):
                    failures = 0
                    last_id = event_id or last_id
                    yield update
                    if update.final:
                        return
            except Refused as error:
                if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
            except httpx2.TransportError:
                pass  # counted below, like a stream that ends before its subject does
            failures += 1
            if failures > _RECONNECTS:
                raise Unreachable(f"The server at {self.url} went away; {subject} is kept there.")
            await asyncio.sleep(min(0.1 * 2**failures, _MOST_REST_S))

    async def _listen(self, subject: str, last_id: str) -> AsyncIterator[tuple[str, Update]]:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        async with self._http.sse(
            f"{_path(subject)}/events", headers=headers, max_event_size=_MAX_EVENT_BYTES
        ) as source:
            await _check(source.response)
            async for event in source:
                data = cast("dict[str, Any]", event.json())
                yield event.id, read_event(event.event, data, subject)

    async def download(self, url: str, target: Path, *, public_base: str) -> None:
        """Write the public file at `url` to `target`, which is replaced only by a whole file.

        `public_base` is the server's address as it calls itself: this client may know it by
        another one, which is then used.
        """
        if url.startswith(f"{public_base}/files/"):
            url = self.url + url.removeprefix(public_base)
        # Files are public, and may lie on another machine: the key does not go along.
        async with self._open({}) as http:
            await self._save(target, lambda draft: self._stream_to(url, draft, http))

    async def _save(self, target: Path, write: Callable[[Path], Awaitable[None]]) -> None:
        draft = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
        try:
            async with asyncio.timeout(_TRANSFER_S):
                await write(draft)
            await asyncio.to_thread(draft.replace, target)
        except (httpx2.TransportError, TimeoutError) as error:
            raise Unreachable(f"{target.name} could not be downloaded: {_reason(error)}.") from None
        except OSError as error:
            raise Failure(f"{target} cannot be written: {error.strerror}.") from None
        finally:
            draft.unlink(missing_ok=True)

    async def _stream_to(self, url: str, draft: Path, http: httpx2.AsyncClient) -> None:
        async with http.stream("GET", url, follow_redirects=True) as answer:
            await _check(answer)
            with draft.open("wb") as file:
                async for chunk in answer.aiter_bytes(_CHUNK):
                    await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(_settle, file)

    # --- one call ----------------------------------------------------------------------------

    async def _submit(self, path: str, **request: Unpack[_Request]) -> object:
        """Send work once, even if the answer is lost: the key makes a repetition harmless."""
        key = {"Idempotency-Key": f"cli-{uuid4().hex}"}
        for left in reversed(range(_TRIES)):
            try:
                answer = await self._call("POST", path, limit_s=_TRANSFER_S, headers=key, **request)
            except _AnswerLost:
                if not left:
                    raise
            else:
                return answer.json()
        raise AssertionError("unreachable")

    async def _call(
        self,
        method: str,
        path: str,
        *,
        limit_s: float = _ANSWER_S,
        headers: Mapping[str, str] | None = None,
        **request: Unpack[_Request],
    ) -> httpx2.Response:
        try:
            async with asyncio.timeout(limit_s):
                answer = await self._http.request(method, path, headers=headers, **request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol) as error:
            raise Unreachable(f"No server answers at {self.url}: {_reason(error)}.") from None
        except (httpx2.TransportError, TimeoutError) as error:
            raise _AnswerLost(f"No answer came from {self.url}: {_reason(error)}.") from None
        await _check(answer)
        return answer


class _AnswerLost(Unreachable):
    """The request may have arrived."""


async def _check(answer: httpx2.Response) -> None:
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


def _path(subject: str) -> str:
    if not subject.isascii() or not subject.replace("_", "").isalnum():
        raise BadUse(f"{subject!r} is not an id.")
    return f"/v1/batches/{subject}" if subject.startswith("bat_") else f"/v1/jobs/{subject}"


def _lane_path(lane: str) -> str:
    return f"/v1/admin/lanes/{quote(lane, safe='')}"


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
