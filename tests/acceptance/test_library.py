"""A library of imported pictures over HTTP: said, found, changed, counted, compared, deleted."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests import pictures
from tests.acceptance.conftest import RunningServer

WAIT = {"Prefer": "wait=60"}


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as client:
        yield client


async def assets(api: httpx2.AsyncClient, **wanted: Any) -> dict[str, Any]:
    answer = await api.get("/v1/assets", params=wanted)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def upload(api: httpx2.AsyncClient, content: bytes, **fields: str) -> dict[str, Any]:
    answer = await api.post("/v1/uploads", files={"file": ("x.jpg", content)}, data=fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_import_when_items_say_more_gives_each_its_own_and_lets_bad_ones_fail_alone(
    api: httpx2.AsyncClient,
) -> None:
    source = (await upload(api, pictures.picture("jpeg", 320, 200)))["url"]
    answer = await api.post(
        "/v1/images",
        json={
            "urls": [
                {
                    "url": source,
                    "external_id": "SKU-1",
                    "name": "Blue door",
                    "tags": ["doors"],
                    "metadata": {"shelf": 7},
                },
                "ftp://nowhere/",
                source,
                {"url": source, "colour": "red"},
                {"external_id": "SKU-9"},
            ],
            "tags": ["spring"],
            "metadata": {"campaign": "A", "shelf": 1},
        },
        headers=WAIT,
    )
    assert answer.status_code == 200, answer.text
    batch = answer.json()
    assert (batch["status"], batch["counts"]["total"], batch["counts"]["failed"]) == (
        "partial",
        5,
        3,
    )
    first, ftp, third, unknown, lacking = batch["items"]
    assert [item["index"] for item in batch["items"]] == [0, 1, 2, 3, 4]
    assert ftp["problem"]["code"] == "url_not_allowed"
    assert unknown["problem"]["errors"][0]["field"] == "colour"
    assert lacking["problem"]["errors"][0]["field"] == "url"
    assert (first["name"], third["name"]) == ("Blue door", source)
    assert first["job"]["external_id"] == "SKU-1"
    (asset,) = first["job"]["outputs"]
    assert (asset["name"], asset["external_id"]) == ("Blue door", "SKU-1")
    assert asset["tags"] == ["spring", "doors"]
    assert asset["metadata"] == {"campaign": "A", "shelf": 7}
    assert third["job"]["outputs"][0]["tags"] == ["spring"]
    assert [each["id"] for each in (await assets(api, external_id="SKU-1"))["data"]] == [
        asset["id"]
    ]
    assert len((await assets(api, tag="spring"))["data"]) == 2
    assert len((await assets(api, host="127.0.0.1"))["data"]) == 2


async def test_import_when_every_item_is_bad_is_a_batch_that_has_failed(
    api: httpx2.AsyncClient,
) -> None:
    answer = await api.post("/v1/images", json={"urls": ["nope", {}, 5]}, headers=WAIT)
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")


async def test_upload_when_fields_say_more_is_found_by_them_and_changed(
    api: httpx2.AsyncClient,
) -> None:
    made = await upload(
        api,
        pictures.picture("png", 500, 300),
        caption="An otter asleep",
        tags='["animals"]',
        metadata='{"a": 1}',
        external_id="O-1",
    )
    assert (made["caption"], made["tags"], made["metadata"]) == (
        "An otter asleep",
        ["animals"],
        {"a": 1},
    )
    address = f"/v1/assets/{made['id']}"
    assert [each["id"] for each in (await assets(api, q="otters sleep*"))["data"]] == []
    assert [each["id"] for each in (await assets(api, q="otters asleep"))["data"]] == [made["id"]]
    changed = await api.patch(address, json={"caption": "A badger", "tags": []})
    assert changed.status_code == 200
    assert (changed.json()["caption"], changed.json()["tags"]) == ("A badger", [])
    assert changed.json()["metadata"] == {"a": 1}
    assert (await assets(api, q="otter"))["data"] == []
    assert len((await assets(api, q="badger", min_width=500, format="png"))["data"]) == 1
    for body in ({}, {"caption": 7}, {"id": "ast_1"}, {"tags": ["x"] * 33}):
        assert (await api.patch(address, json=body)).status_code == 422
    assert (await api.delete(address)).status_code == 200
    assert (await assets(api, q="badger"))["data"] == []


async def test_upload_when_a_field_is_at_fault_keeps_nothing(api: httpx2.AsyncClient) -> None:
    before = await assets(api)
    for fields in ({"tags": "not json"}, {"colour": "red"}, {"caption": "x" * 5000}):
        answer = await api.post(
            "/v1/uploads", files={"file": ("x.jpg", pictures.picture("jpeg"))}, data=fields
        )
        assert answer.status_code == 422, answer.text
    assert await assets(api) == before


async def test_lists_when_nothing_changed_are_not_sent_again(api: httpx2.AsyncClient) -> None:
    made = await upload(api, pictures.picture("webp"))
    for address in ("/v1/assets", f"/v1/assets/{made['id']}", "/v1/jobs"):
        first = await api.get(address)
        tag = first.headers["etag"]
        again = await api.get(address, headers={"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        other = await api.get(address, headers={"If-None-Match": '"else"'})
        assert other.json() == first.json()
        assert first.headers["cache-control"] == "private, no-cache"
    tag = (await api.get("/v1/assets")).headers["etag"]
    await upload(api, pictures.picture("webp"))
    assert (await api.get("/v1/assets", headers={"If-None-Match": tag})).status_code == 200


async def test_assets_when_another_account_asks_are_not_there(
    api: httpx2.AsyncClient, server: RunningServer
) -> None:
    made = await upload(api, pictures.picture("jpeg"), caption="mine alone")
    async with server.client(await server.new_account_key()) as stranger:
        assert (await assets(stranger, q="mine alone"))["data"] == []
        for method, path in (
            ("GET", ""),
            ("GET", "/similar"),
            ("PATCH", ""),
            ("DELETE", ""),
        ):
            answer = await stranger.request(
                method, f"/v1/assets/{made['id']}{path}", json={"name": "x"}
            )
            assert answer.status_code == 404


async def test_assets_when_paged_and_counted_agree(api: httpx2.AsyncClient) -> None:
    for number in range(5):
        await upload(api, pictures.picture("png", 300 + number, 300), tags='["paged"]')
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await assets(api, tag="paged", limit=2, facets="format,tag", **cursor)
        seen += [each["id"] for each in page["data"]]
        assert page["facets"] == {
            "counted": 5,
            "complete": True,
            "format": [{"value": "png", "count": 5}],
            "tag": [{"value": "paged", "count": 5}],
        }
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(seen) == len(set(seen)) == 5


async def test_similar_when_a_picture_comes_smaller_and_as_another_format_finds_it(
    api: httpx2.AsyncClient,
) -> None:
    image = pictures.scene(800, 600)
    first = await upload(api, pictures.encode(image, "png"))
    second = await upload(api, pictures.encode(image.resize(0.4), "jpeg"))
    other = await upload(api, pictures.encode(image.rot90(), "png"))
    answer = await api.get(f"/v1/assets/{first['id']}/similar")
    found = {each["id"]: each["distance"] for each in answer.json()["data"]}
    assert found[second["id"]] <= 7
    assert other["id"] not in found


@pytest.mark.parametrize(
    "wanted",
    [
        {"q": "!!!"},
        {"q": "x" * 201},
        {"facets": "size"},
        {"cursor": "ast_1"},
        {"cursor": "-1"},
        {"min_width": "0"},
        {"kind": "video"},
        {"created_after": "yesterday"},
        {"created_after": "2026-01-01T00:00:00"},
    ],
)
async def test_search_when_a_field_is_at_fault_is_refused_with_its_name(
    api: httpx2.AsyncClient, wanted: dict[str, str]
) -> None:
    answer = await api.get("/v1/assets", params=wanted)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"
    (field,) = wanted
    assert field in answer.text


@pytest.mark.parametrize("name", ["tag", "host", "format", "job_id", "external_id", "q"])
async def test_search_when_text_is_hostile_finds_nothing(
    api: httpx2.AsyncClient, name: str
) -> None:
    for text in ("\x01a", "' OR 1=1; --", "a:* & | ! <->", '"NEAR(a b)" ^', "\U0001f600a", "%_a"):
        answer = await api.get("/v1/assets", params={name: text[:16]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"] == []
