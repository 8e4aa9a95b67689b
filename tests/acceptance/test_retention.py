"""Deleting, restoring, holding and expiring over HTTP, with the audit log."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests import pictures
from tests.acceptance.conftest import RunningServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("retention") / "data")
    running.start()
    yield running
    running.close()


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as client:
        yield client


async def upload(api: httpx2.AsyncClient) -> dict[str, Any]:
    answer = await api.post("/v1/uploads", files={"file": ("x.jpg", pictures.picture("jpeg"))})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def log(api: httpx2.AsyncClient, subject: str) -> list[str]:
    lines = (await api.get("/v1/audit", params={"subject": subject})).json()["data"]
    return [line["action"] for line in reversed(lines)]


async def test_asset_when_deleted_is_had_back_under_another_address(
    api: httpx2.AsyncClient,
) -> None:
    asset = await upload(api)
    path = f"/v1/assets/{asset['id']}"
    gone = (await api.delete(path)).json()
    assert (gone["id"], gone["assets"]) == (asset["id"], [asset["id"]])
    kept = datetime.fromisoformat(gone["purge_at"]) - datetime.now(UTC)
    assert timedelta(days=6.9) < kept <= timedelta(days=7)
    assert (await api.get(path)).status_code == 404
    assert (await api.get(asset["url"])).status_code == 404
    (deleted,) = (await api.get("/v1/trash")).json()["data"]
    assert (deleted["id"], deleted["name"]) == (asset["id"], asset["name"])
    assert deleted["purge_at"] == gone["purge_at"]
    back = await api.post(f"/v1/trash/{asset['id']}/restore")
    assert back.status_code == 200
    assert back.json()["url"] != asset["url"]
    assert back.json()["expires_at"] is None
    assert (await api.get(back.json()["url"])).status_code == 200
    assert (await api.get("/v1/trash")).json()["data"] == []
    forever = (await api.delete(path, params={"now": "true"})).json()
    assert forever == {"id": asset["id"], "assets": [], "purge_at": None}
    assert (await api.post(f"/v1/trash/{asset['id']}/restore")).status_code == 404
    assert await log(api, asset["id"]) == ["asset.deleted", "asset.restored", "asset.deleted"]


async def test_trash_when_purged_is_gone_for_good(api: httpx2.AsyncClient) -> None:
    asset = await upload(api)
    await api.delete(f"/v1/assets/{asset['id']}")
    assert (await api.delete(f"/v1/trash/{asset['id']}")).status_code == 204
    assert (await api.delete(f"/v1/trash/{asset['id']}")).status_code == 404


async def test_asset_when_held_is_not_deleted_until_it_is_released(
    api: httpx2.AsyncClient,
) -> None:
    asset = await upload(api)
    path = f"/v1/assets/{asset['id']}"
    held = await api.put(f"{path}/hold", json={"reason": "case 17"})
    assert held.json()["held"] is True
    refused = await api.delete(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "on_hold")
    assert (await api.put(f"{path}/hold", json={"reason": ""})).status_code == 422
    released = await api.delete(f"{path}/hold")
    assert released.json()["held"] is False
    assert (await api.delete(path)).status_code == 200


async def test_job_when_deleted_says_until_when_its_outputs_can_be_had_back(
    api: httpx2.AsyncClient,
) -> None:
    body = {"prompt": "a cat", "size": "256x256", "n": 2}
    made = (await api.post("/v1/generate", json=body, headers={"Prefer": "wait=30"})).json()
    gone = (await api.delete(f"/v1/jobs/{made['id']}")).json()
    assert gone["assets"] == [asset["id"] for asset in made["outputs"]]
    for asset_id in gone["assets"]:
        assert (await api.post(f"/v1/trash/{asset_id}/restore")).status_code == 200
    assert datetime.fromisoformat(gone["purge_at"]) > datetime.now(UTC)
    again = (await api.post("/v1/generate", json=body, headers={"Prefer": "wait=30"})).json()
    forever = (await api.delete(f"/v1/jobs/{again['id']}", params={"now": "true"})).json()
    assert forever == {"id": again["id"], "assets": [], "purge_at": None}


async def test_account_when_held_keeps_all_that_it_has(
    server: RunningServer, api: httpx2.AsyncClient
) -> None:
    key = await server.new_account_key()
    async with server.client(key) as stranger:
        account = (await stranger.get("/v1/account")).json()
        assert account["held"] is False
        asset = await upload(stranger)
        body = {"prompt": "a cat", "model": "fake", "params": {"seconds": 0}}
        made = await stranger.post("/v1/generate", json=body, headers={"Prefer": "wait=30"})
        admin = f"/v1/admin/accounts/{account['id']}"
        assert (await api.patch(admin, json={"hold": "case 17"})).json()["hold"] == "case 17"
        assert (await stranger.get("/v1/account")).json()["held"] is True
        for path in (f"/v1/assets/{asset['id']}", f"/v1/jobs/{made.json()['id']}"):
            refused = await stranger.delete(path)
            assert (refused.status_code, refused.json()["code"]) == (409, "on_hold")
        await api.patch(admin, json={"hold": ""})
        for path in (f"/v1/assets/{asset['id']}", f"/v1/jobs/{made.json()['id']}"):
            assert (await stranger.delete(path)).status_code == 200


async def test_account_when_it_says_how_long_pictures_stay_gives_each_its_time(
    api: httpx2.AsyncClient,
) -> None:
    answer = await api.patch("/v1/account", json={"keep_image_s": 3600})
    assert answer.json()["keep_image_s"] == 3600
    body = {"prompt": "a cat", "model": "fake", "params": {"seconds": 0}}
    job = await api.post("/v1/generate", json=body, headers={"Prefer": "wait=30"})
    assert job.json()["outputs"][0]["expires_at"] is not None
    await api.patch("/v1/account", json={"keep_image_s": None})
    job = await api.post("/v1/generate", json=body, headers={"Prefer": "wait=30"})
    assert job.json()["outputs"][0]["expires_at"] is None
    assert (await api.patch("/v1/account", json={"keep_image_s": 1})).status_code == 422
    assert (await api.patch("/v1/account", json={})).status_code == 422
