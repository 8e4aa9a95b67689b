"""Every route that takes an Idempotency-Key knows its request again by all that it says."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from safelight.accounts.scopes import OWNER_SCOPES
from safelight.app import open_safelight
from safelight.settings import Settings
from safelight.web import server
from tests import pictures

ONE, OTHER = pictures.picture("png"), pictures.picture("png", 32, 32)
HOOK = "https://hooks.example/x"
_Part = tuple[str, tuple[str | None, bytes | str]]


@dataclass(frozen=True)
class Form:
    """A multipart body, with a boundary that tells nothing."""

    files: tuple[bytes, ...] = (ONE, OTHER)
    names: tuple[str, ...] = ("a.png", "b.png")
    fields: tuple[tuple[str, str], ...] = (("name", "mugs"), ("tags", '["x"]'))

    def sent(self, boundary: str) -> dict[str, Any]:
        parts: list[_Part] = [(name, (None, text)) for name, text in self.fields]
        parts += [("files", pair) for pair in zip(self.names, self.files, strict=True)]
        content_type = f"multipart/form-data; boundary={boundary}"
        return {"files": parts, "headers": {"Content-Type": content_type}}


@dataclass(frozen=True)
class Json:
    """A JSON body."""

    body: Any

    def sent(self, boundary: str) -> dict[str, Any]:
        del boundary
        headers = {"Content-Type": "application/json"}
        return {"content": json.dumps(self.body), "headers": headers}


Body = Form | Json
# Of each route the request that comes twice, and those that differ from it in one thing.
REQUESTS: dict[str, tuple[Body, list[Body]]] = {
    "/v1/upload/batch": (
        Form(),
        [
            Form(files=(ONE, ONE)),  # other bytes under the same names
            Form(files=(OTHER, ONE)),
            Form(names=("a.png", "c.png")),
            Form(files=(ONE,), names=("a.png",)),
            Form(fields=(("name", "cups"), ("tags", '["x"]'))),
            Form(fields=(("name", "mugs"),)),
        ],
    ),
    "/v1/generate": (
        Json({"prompt": "a cat", "model": "fake"}),
        [
            Json({"prompt": "a dog", "model": "fake"}),
            Json({"prompt": "a cat", "model": "fake-paid"}),
            Json({"prompt": "a cat", "model": "fake", "webhook_url": HOOK}),
        ],
    ),
    "/v1/images": (
        Json({"urls": ["https://a.example/1.png"]}),
        [
            Json({"urls": ["https://a.example/2.png"]}),
            Json({"urls": ["https://a.example/1.png"] * 2}),
            Json({"url": "https://a.example/1.png"}),
        ],
    ),
    "/v1/batches": (
        Json({"items": ["https://a.example/1.png"]}),
        [
            Json({"items": ["https://a.example/2.png"]}),
            Json({"items": ["https://a.example/1.png"], "name": "mugs"}),
        ],
    ),
}


@dataclass(frozen=True)
class Shop:
    """A server in this process that nobody runs jobs of, and its routes that take a key."""

    keyed: frozenset[str]
    client: httpx2.AsyncClient

    async def send(self, path: str, body: Body, key: str, boundary: str = "x") -> httpx2.Response:
        sent = body.sent(boundary)
        sent["headers"]["Idempotency-Key"] = key
        return await self.client.post(path, **sent)


@pytest.fixture(scope="module")
async def shop(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    del anyio_backend
    folder = tmp_path_factory.mktemp("shop")
    settings = Settings(data_dir=folder, fake_provider=True, min_free_bytes=0)
    async with open_safelight(settings) as safelight:
        services = safelight.services
        account = await services.accounts.ensure_first("somebody")
        key = (await services.access.keys.create(account.id, "test", scopes=OWNER_SCOPES)).secret
        app = server.build(services, version="test")
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(safelight.asgi),
            base_url="http://127.0.0.1",
            headers={"Authorization": f"Bearer {key}"},
        ) as client:
            yield Shop(frozenset(_keyed(app.openapi())), client)


def _keyed(openapi: dict[str, Any]) -> Iterator[str]:
    for path, methods in openapi["paths"].items():
        for route in methods.values():
            if any(each.get("name") == "Idempotency-Key" for each in route.get("parameters", ())):
                yield path


def test_routes_when_they_take_a_key_are_all_tried_here(shop: Shop) -> None:
    assert shop.keyed == frozenset(REQUESTS)


@pytest.mark.parametrize("path", REQUESTS)
async def test_request_when_it_comes_again_byte_for_byte_makes_nothing_new(
    shop: Shop, path: str
) -> None:
    body, _ = REQUESTS[path]
    first = await shop.send(path, body, f"again {path}", boundary="one")
    again = await shop.send(path, body, f"again {path}", boundary="two")
    assert (first.status_code, again.status_code) == (202, 202), first.text
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        (
            "/v1/generate",
            b'{"prompt": "a cat", "model": "fake", "metadata": {"a": 1, "b": [1, 2]}}',
            b'{ "metadata":{"b":[1,2],"a":1},"model":"fake",\n"prompt":"\\u0061 cat"}',
        ),
        (
            "/v1/images",
            b'{"urls": [{"url": "https://a.example/1.png", "name": "x"}], "name": "y"}',
            b'{"name": "y", "urls": [{"name": "x", "url": "https://a.example/1.png"}]}',
        ),
    ],
)
async def test_request_when_its_members_are_reordered_is_the_same(
    shop: Shop, path: str, one: bytes, other: bytes
) -> None:
    headers = {"Idempotency-Key": f"reordered {path}", "Content-Type": "application/json"}
    first = await shop.client.post(path, content=one, headers=headers)
    again = await shop.client.post(path, content=other, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202), first.text
    assert again.json()["id"] == first.json()["id"]


async def test_form_when_members_of_a_field_are_reordered_is_the_same(shop: Shop) -> None:
    key, path = "reordered form", "/v1/upload/batch"
    one = Form(fields=(("metadata", '{"a": 1, "b": 2}'), ("name", "mugs")))
    other = Form(fields=(("name", "mugs"), ("metadata", '{"b":2,"a":1}')))
    first = await shop.send(path, one, key, boundary="one")
    again = await shop.send(path, other, key, boundary="two")
    assert again.json()["id"] == first.json()["id"]


@pytest.mark.parametrize(
    ("path", "other"),
    [(path, other) for path, (_, others) in REQUESTS.items() for other in others],
)
async def test_request_when_anything_in_it_differs_is_another_and_refused(
    shop: Shop, path: str, other: Body
) -> None:
    body, _ = REQUESTS[path]
    key = f"differs {path}"
    assert (await shop.send(path, body, key)).status_code == 202
    refused = await shop.send(path, other, key)
    assert (refused.status_code, refused.json()["code"]) == (409, "idempotency_conflict")


async def test_key_when_it_was_used_at_another_route_is_refused(shop: Shop) -> None:
    key = "one for all"
    first, *others = REQUESTS
    assert (await shop.send(first, REQUESTS[first][0], key)).status_code == 202
    for path in others:
        refused = await shop.send(path, REQUESTS[path][0], key)
        assert refused.json()["code"] == "idempotency_conflict", path
