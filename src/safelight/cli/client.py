"""A typed client of the HTTP API."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import quote, urlencode

import httpx2

from safelight.cli.documents import Document
from safelight.cli.failure import BadUse, Refused, Unreachable
from safelight.cli.progress import Update, read_event
from safelight.cli.wire import TRANSFER_S, Picture, Wire, check
from safelight.documents import (
    Account,
    Asset,
    Batch,
    Check,
    DeadLetter,
    Job,
    Key,
    KeyWithSecret,
    Lanes,
    LaneState,
    ManagedAccount,
    Model,
    OpenedAccount,
    Redriven,
    Worker,
)
from safelight.json_object import JsonObject

# where the caller sets no limit
_LISTED = 50
_PAGE = 200  # the most that a page has
_REDRIVEN = 1_000
_KEYS = 1_000
_RECONNECTS = 8
_MOST_REST_S = 5.0
_MAX_EVENT_BYTES = 64 << 20  # the snapshot of a batch of 1,000
_BEST_QUALITY = 95


class Client:
    """One server, as one API key may use it."""

    def __init__(
        self, url: str, key: str, *, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._wire = Wire(url, key, transport)
        self.url = self._wire.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._wire.close()

    # --- submit ------------------------------------------------------------------------------

    async def generate(self, wanted: Mapping[str, Any]) -> Job:
        """Send a prompt; `wanted` is the body of `POST /v1/generate`."""
        return cast("Job", await self._wire.submit("/v1/generate", json=wanted))

    async def import_images(self, urls: Sequence[str], tags: Sequence[str] = ()) -> Document:
        """Send one address, or several as a batch."""
        body: JsonObject = {"url": urls[0]} if len(urls) == 1 else {"urls": list(urls)}
        if tags:
            body["tags"] = list(tags)
        return cast("Document", await self._wire.submit("/v1/images", json=body))

    async def import_chunk(self, body: bytes, key: str) -> Batch:
        """Send a batch of addresses as it was put together, under a key of the caller's."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        answer = await self._wire.call(
            "POST", "/v1/images", limit_s=TRANSFER_S, headers=headers, content=body
        )
        return cast("Batch", answer.json())

    async def make_3d(self, pictures: Sequence[Picture], wanted: Mapping[str, Any]) -> Batch:
        """Send pictures to be made 3D models of; `wanted` is what is said beside the files."""
        files = [("files", picture) for picture in pictures]
        fields = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in wanted.items()
        }
        return cast("Batch", await self._wire.submit("/v1/upload/batch", files=files, data=fields))

    async def make_batch(self, wanted: Mapping[str, Any]) -> Batch:
        """Send items to be made 3D models of; `wanted` is the body of `POST /v1/batches`."""
        return cast("Batch", await self._wire.submit("/v1/batches", json=wanted))

    async def upload(self, picture: Picture) -> Asset:
        """Keep a picture to refer to."""
        answer = await self._wire.call(
            "POST", "/v1/uploads", limit_s=TRANSFER_S, files=[("file", picture)]
        )
        return cast("Asset", answer.json())

    # --- look and change ---------------------------------------------------------------------

    async def get(self, subject: str) -> Document:
        """Return a job or a batch."""
        return cast("Document", (await self._wire.call("GET", _path(subject))).json())

    async def batch(self, batch_id: str) -> Batch:
        """Return a batch."""
        return cast("Batch", (await self._wire.call("GET", _path(batch_id))).json())

    async def account(self) -> Account:
        """Return the account that the key belongs to."""
        return cast("Account", (await self._wire.call("GET", "/v1/account")).json())

    async def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the document that answers a request, None if it is empty."""
        answer = await self._wire.call(method, path, **({} if body is None else {"json": body}))
        return answer.json() if answer.content else None

    async def entries(self, path: str, **chosen: str | int) -> list[Any]:
        """Return up to `limit` entries of a list, newest first."""
        return await self._list(path, chosen)

    async def keys(self) -> list[Key]:
        """Return the account's API keys, newest first."""
        return await self._list("/v1/keys", {"limit": _KEYS})

    async def create_key(self, wanted: Mapping[str, Any]) -> KeyWithSecret:
        """Create an API key; `wanted` is the body of `POST /v1/keys`."""
        return cast(
            "KeyWithSecret", (await self._wire.call("POST", "/v1/keys", json=wanted)).json()
        )

    async def rotate_key(self, key_id: str, overlap_s: float) -> KeyWithSecret:
        """Replace an API key; the old one stays valid for that long."""
        path, body = f"/v1/keys/{quote(key_id, safe='')}/rotate", {"overlap_s": overlap_s}
        return cast("KeyWithSecret", (await self._wire.call("POST", path, json=body)).json())

    async def revoke_key(self, key_id: str) -> None:
        """Revoke an API key."""
        await self._wire.call("DELETE", f"/v1/keys/{quote(key_id, safe='')}")

    async def login_link(self) -> str:
        """Return a link that signs a browser in once."""
        return (await self._wire.call("POST", "/v1/login-links")).json()["url"]

    async def jobs(self, **chosen: str | int) -> list[Job]:
        """Return the newest jobs, filtered as `GET /v1/jobs` does."""
        return await self._list("/v1/jobs", chosen)

    async def _list(self, path: str, chosen: Mapping[str, str | int]) -> list[Any]:
        """Return up to `limit` entries, page by page: one with few of them need not be the last."""
        found: list[Any] = []
        wanted: dict[str, str | int] = {**chosen}
        most = int(chosen.get("limit", _LISTED))
        while True:
            wanted["limit"] = min(most - len(found), _PAGE)
            page = (await self._wire.call("GET", path, params=wanted)).json()
            found += page["data"]
            if page["next_cursor"] is None or len(found) >= most:
                return found
            wanted["cursor"] = page["next_cursor"]

    async def assets(self, chosen: Mapping[str, Any]) -> list[Asset]:
        """Return the newest assets that match, as `GET /v1/assets` finds them."""
        return (await self._wire.call("GET", "/v1/assets", params=chosen)).json()["data"]

    async def models(self) -> list[Model]:
        """Return what can be asked for."""
        return (await self._wire.call("GET", "/v1/models")).json()["data"]

    async def cancel(self, subject: str) -> Document:
        """End a job that has not ended, or all such jobs of a batch."""
        return cast("Document", (await self._wire.call("POST", f"{_path(subject)}/cancel")).json())

    async def redrive(self, subject: str) -> Document:
        """Queue a failed or canceled job anew, or all failed ones of a batch."""
        return cast("Document", (await self._wire.call("POST", f"{_path(subject)}/redrive")).json())

    async def download_batch(
        self, batch_id: str, target: Path, *, form: str | None, previews: bool
    ) -> None:
        """Write the ZIP of a batch to `target`."""
        chosen = {"format": form, "previews": "true" if previews else None}
        query = urlencode({name: value for name, value in chosen.items() if value is not None})
        path = f"{_path(batch_id)}/download?{query}"
        await self._wire.save(path, target, with_key=True)

    async def download_model(self, asset_id: str, form: str, target: Path) -> None:
        """Write a 3D model, converted to another format, to `target`."""
        # The key goes to this server alone: where it leads elsewhere, the address is public.
        path = f"/v1/assets/{quote(asset_id, safe='')}/formats/{form}"
        await self._wire.save(path, target, with_key=True)

    async def picture_url(self, asset_id: str, form: str) -> str:
        """Return the signed URL of a picture in another format."""
        path = f"/v1/assets/{quote(asset_id, safe='')}/renditions"
        answer = await self._wire.call(
            "GET", path, params={"format": form, "quality": _BEST_QUALITY}
        )
        return str(answer.json()["url"])

    # --- operate -----------------------------------------------------------------------------

    async def checks(self, provider: str | None) -> list[Check]:
        """Return how every part is, or one provider."""
        path = f"/v1/admin/checks/{quote(provider, safe='')}" if provider else "/v1/admin/checks"
        return (await self._wire.call("POST", path, limit_s=TRANSFER_S)).json()["data"]

    async def lanes(self) -> Lanes:
        """Return what stands in each lane."""
        return cast("Lanes", (await self._wire.call("GET", "/v1/admin/lanes")).json())

    async def workers(self) -> list[Worker]:
        """Return the processes that do the work."""
        return (await self._wire.call("GET", "/v1/admin/workers")).json()["data"]

    async def pause(self, lane: str) -> LaneState:
        """Let a lane start nothing more."""
        return cast(
            "LaneState", (await self._wire.call("POST", f"{_lane_path(lane)}/pause")).json()
        )

    async def resume(self, lane: str) -> LaneState:
        """Let a lane start jobs again."""
        return cast(
            "LaneState", (await self._wire.call("POST", f"{_lane_path(lane)}/resume")).json()
        )

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
            part = (await self._wire.call("POST", path, limit_s=TRANSFER_S, json=body)).json()
            done["redriven"] += part["redriven"]
            done["skipped"] += part["skipped"]
            left -= part["redriven"]
            cursor = part["next_cursor"]
            if cursor is None or not left:
                return done

    # --- accounts ----------------------------------------------------------------------------

    async def accounts(self, *, limit: int) -> list[ManagedAccount]:
        """Return the server's accounts, newest first."""
        return await self._list("/v1/admin/accounts", {"limit": limit})

    async def managed_account(self, account_id: str) -> ManagedAccount:
        """Return one account as operators see it."""
        return (await self._wire.call("GET", _account_path(account_id))).json()

    async def create_account(self, wanted: Mapping[str, Any]) -> OpenedAccount:
        """Create an account; `wanted` is the body of `POST /v1/admin/accounts`."""
        return (await self._wire.call("POST", "/v1/admin/accounts", json=wanted)).json()

    async def suspend_account(self, account_id: str, reason: str) -> ManagedAccount:
        """Suspend an account, for a reason that its callers read."""
        path = f"{_account_path(account_id)}/suspend"
        return (await self._wire.call("POST", path, json={"reason": reason})).json()

    async def resume_account(self, account_id: str) -> ManagedAccount:
        """Resume an account."""
        return (await self._wire.call("POST", f"{_account_path(account_id)}/resume")).json()

    async def limit_account(self, account_id: str, max_in_flight: int | None) -> ManagedAccount:
        """Set how many jobs of an account run at once; None: as in the settings."""
        body = {"max_in_flight": max_in_flight}
        return (await self._wire.call("PATCH", _account_path(account_id), json=body)).json()

    async def delete_account(self, account_id: str) -> None:
        """Delete an account with all that it has."""
        await self._wire.call("DELETE", _account_path(account_id))

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
        async with self._wire.http.sse(
            f"{_path(subject)}/events", headers=headers, max_event_size=_MAX_EVENT_BYTES
        ) as source:
            await check(source.response)
            async for event in source:
                data = cast("JsonObject", event.json())
                yield event.id, read_event(event.event, data, subject)

    async def download(self, url: str, target: Path, *, public_base: str) -> None:
        """Write the public file at `url` to `target`, which is replaced only by a whole file.

        `public_base` is the server's address as it calls itself: this client may know it by
        another one, which is then used.
        """
        if url.startswith(f"{public_base}/files/"):
            url = self.url + url.removeprefix(public_base)
        # Files are public, and may lie on another machine: the key does not go along.
        await self._wire.save(url, target, with_key=False)


def _path(subject: str) -> str:
    if not subject.isascii() or not subject.replace("_", "").isalnum():
        raise BadUse(f"{subject!r} is not an id.")
    return f"/v1/batches/{subject}" if subject.startswith("bat_") else f"/v1/jobs/{subject}"


def _account_path(account_id: str) -> str:
    return f"/v1/admin/accounts/{quote(account_id, safe='')}"


def _lane_path(lane: str) -> str:
    return f"/v1/admin/lanes/{quote(lane, safe='')}"
