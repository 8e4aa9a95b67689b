"""The three flows over HTTP against a real server: submit, follow, fetch, cancel, delete."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx2
import pytest

from tests import pictures
from tests.acceptance.conftest import RunningServer

WAIT = {"Prefer": "wait=60"}
NOTHING = {"model": "fake", "params": {"outputs": 0}}


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as client:
        yield client


async def follow(
    api: httpx2.AsyncClient, url: str, *, last_event_id: str = ""
) -> list[dict[str, Any]]:
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    frames: list[dict[str, Any]] = [{}]
    async with api.stream("GET", url, headers=headers, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if not line:
                frames.append({})
            elif not line.startswith(":"):
                name, value = line.split(": ", 1)
                frames[-1][name] = json.loads(value) if name == "data" else value
    return [frame for frame in frames if frame]


async def test_generate_when_asked_to_wait_answers_with_the_picture(
    api: httpx2.AsyncClient,
) -> None:
    answer = await api.post(
        "/v1/generate", json={"prompt": "A red cat playing guitar", "seed": 7}, headers=WAIT
    )
    assert answer.status_code == 200
    job = answer.json()
    assert job["job_id"] == job["id"]
    assert (job["status"], job["provider"], job["progress"]) == ("succeeded", "sketch", 100)
    picture = job["outputs"][0]
    assert picture["facts"]["note"] == "sketch, no AI model"
    served = await api.get(picture["url"], headers={"Authorization": ""})
    assert served.headers["content-type"] == "image/png"
    assert served.content[:8] == b"\x89PNG\r\n\x1a\n"
    assert (picture["width"], picture["height"]) == (1024, 1024)
    again = await api.post(
        "/v1/generate", json={"prompt": "A red cat playing guitar", "seed": 7}, headers=WAIT
    )
    assert again.json()["outputs"][0]["sha256"] == picture["sha256"]
    assert again.json()["outputs"][0]["url"] != picture["url"]


async def test_generate_when_not_waiting_answers_at_once_and_can_be_followed(
    api: httpx2.AsyncClient,
) -> None:
    answer = await api.post("/v1/generate", json={"prompt": "two blue birds", "n": 2})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == job["status_url"]
    frames = await follow(api, job["events_url"])
    assert frames[0]["event"] == "snapshot"
    assert frames[-1]["event"] in ("job.succeeded", "snapshot")
    final = (await api.get(job["status_url"])).json()
    assert len(final["outputs"]) == 2
    for alias in ("result", "status"):
        assert (await api.get(f"/v1/{alias}/{job['id']}")).json() == final


async def test_generate_when_given_a_reference_starts_from_it(
    api: httpx2.AsyncClient,
) -> None:
    sent = await api.post(
        "/v1/uploads", files={"file": ("photo.jpg", pictures.photo(), "image/jpeg")}
    )
    assert sent.status_code == 201
    asset = sent.json()
    assert asset["facts"]["has_location"]
    body = {"prompt": "a cat", "references": [asset["id"]]}
    job = (await api.post("/v1/generate", json=body, headers=WAIT)).json()
    assert (job["kind"], job["status"]) == ("image_to_image", "succeeded"), job
    assert job["inputs"] == [{"source": asset["id"], "role": "reference"}]


async def test_stream_when_resumed_sends_what_was_missed_once(api: httpx2.AsyncClient) -> None:
    params = {"outputs": 0, "seconds": 2}
    answer = await api.post(
        "/v1/generate", json={"prompt": "slow", "model": "fake", "params": params}
    )
    job = answer.json()
    whole = await follow(api, job["events_url"])
    types = [frame["event"] for frame in whole]
    assert types[0] == "snapshot"
    assert types[-1] == "job.succeeded"
    assert whole[-1]["data"]["data"]["job"]["status"] == "succeeded"
    seen = [frame["data"]["seq"] for frame in whole if frame["event"] != "snapshot"]
    assert seen == sorted(set(seen))
    events = [frame for frame in whole if "id" in frame]
    resumed = await follow(api, job["events_url"], last_event_id=events[0]["id"])
    # Of progress that is told at one look, only the last is of interest.
    assert _turns(resumed) == _turns(events[1:])
    again = [frame["id"] for frame in resumed if "id" in frame]
    assert again == [frame["id"] for frame in events[1:] if frame["id"] in again] + ["final"]
    for last in (events[-1]["id"], again[-1]):
        done = await api.get(job["events_url"], headers={"Last-Event-ID": last})
        assert (done.status_code, done.content) == (204, b"")


def _turns(frames: Sequence[Mapping[str, Any]]) -> list[str]:
    passing = ("job.progress", "snapshot")
    return [frame["id"] for frame in frames if "id" in frame and frame["event"] not in passing]


async def test_stream_when_its_subject_was_final_before_ends_for_good(
    api: httpx2.AsyncClient,
) -> None:
    answer = await api.post("/v1/generate", json={"prompt": "a cat", "model": "fake"})
    url = answer.json()["events_url"]
    await follow(api, url)
    (only,) = await follow(api, url)
    assert only["event"] == "snapshot"
    done = await api.get(url, headers={"Last-Event-ID": only["id"]})
    assert done.status_code == 204


async def test_batch_stream_when_followed_tells_of_every_item(
    api: httpx2.AsyncClient,
) -> None:
    picture = pictures.picture("png", 96, 96)
    sent = [("files", (f"{number}.png", picture, "image/png")) for number in range(3)]
    answer = await api.post("/v1/upload/batch", files=sent, data={"name": "three"})
    assert answer.status_code == 202
    batch = answer.json()
    frames = await follow(api, batch["events_url"])
    assert frames[-1]["event"] == "batch.finished"
    news = [frame["data"]["data"] for frame in frames if frame["event"] == "batch.progress"]
    done = {
        item["index"] for each in news for item in each["items"] if item["event"] == "job.succeeded"
    }
    assert news[-1]["progress"] == 100
    final = frames[-1]["data"]["data"]["batch"]
    already = {
        item["index"] for item in frames[0]["data"]["items"] if item["job"]["status"] == "succeeded"
    }
    assert done | already == {0, 1, 2}
    assert (final["status"], final["name"]) == ("succeeded", "three")
    for item in final["items"]:
        model = item["job"]["outputs"][0]
        assert model["media_type"] == "model/gltf-binary"
        glb = await api.get(model["url"])
        assert glb.content[:4] == b"glTF"
        assert model["facts"]["watertight"]
        preview = await api.get(model["renditions"]["preview"]["url"])
        assert preview.headers["content-type"] == "image/webp"


@pytest.mark.parametrize("route", ["generate", "images", "upload/batch"])
async def test_submit_when_sent_twice_with_one_key_makes_one(
    api: httpx2.AsyncClient, route: str
) -> None:
    bodies: dict[str, list[dict[str, Any]]] = {
        "generate": [{"json": NOTHING | {"prompt": text}} for text in ("one", "two")],
        "images": [
            {"json": {"urls": [f"https://{name}.invalid/a.png"]}} for name in ("one", "two")
        ],
        "upload/batch": [
            {"files": [("files", (name, pictures.picture(), "image/png"))]} for name in ("a", "b")
        ],
    }
    same, other = bodies[route]
    headers = {"Idempotency-Key": f"key-{route}"}
    answers = await asyncio.gather(
        *(api.post(f"/v1/{route}", headers=headers, **same) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 4
    conflict = await api.post(f"/v1/{route}", headers=headers, **other)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "idempotency_conflict")


async def test_wait_when_the_job_takes_longer_answers_202_with_the_same_job(
    api: httpx2.AsyncClient,
) -> None:
    body = {"prompt": "long", "model": "fake", "params": {"outputs": 0, "seconds": 30}}
    answer = await api.post("/v1/generate", json=body, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "wait=1"
    job_id = answer.json()["id"]
    canceled = await api.post(f"/v1/jobs/{job_id}/cancel")
    assert canceled.json()["status"] == "canceled"
    again = await api.post(f"/v1/jobs/{job_id}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
    ledger = (await api.get(f"/v1/jobs/{job_id}/attempts")).json()["data"]
    assert [attempt["number"] for attempt in ledger] == [1]


async def test_redrive_when_a_job_has_failed_runs_it_anew(api: httpx2.AsyncClient) -> None:
    params = {"outputs": 1, "errors": ["provider_rejected"]}
    body = {"prompt": "fails once only", "model": "fake", "params": params}
    job = (await api.post("/v1/generate", json=body, headers=WAIT)).json()
    assert (job["status"], job["error"]["code"]) == ("failed", "provider_rejected")
    answer = await api.post(f"/v1/jobs/{job['id']}/redrive")
    assert answer.status_code == 202
    await follow(api, job["events_url"])
    final = (await api.get(job["status_url"])).json()
    assert (final["status"], final["error"], final["attempts"]) == ("succeeded", None, 1)


async def test_delete_when_a_job_is_done_removes_rows_and_bytes(api: httpx2.AsyncClient) -> None:
    body = {"prompt": "deleted soon", "model": "fake", "params": {"outputs": 2}}
    job = (await api.post("/v1/generate", json=body, headers=WAIT)).json()
    urls = [output["url"] for output in job["outputs"]]
    thumbs = [output["renditions"]["thumb"]["url"] for output in job["outputs"]]
    assert {(await api.get(url)).status_code for url in urls + thumbs} == {200}
    assert (await api.delete(f"/v1/jobs/{job['id']}")).status_code == 200
    assert {(await api.get(url)).status_code for url in urls + thumbs} == {404}
    assert (await api.get(job["status_url"])).status_code == 404
    assert (await api.delete(f"/v1/jobs/{job['id']}")).status_code == 404


async def test_jobs_when_listed_come_newest_first_in_pages(api: httpx2.AsyncClient) -> None:
    made = [
        (await api.post("/v1/generate", json=NOTHING | {"prompt": f"p{n}"}, headers=WAIT)).json()[
            "id"
        ]
        for n in range(5)
    ]
    found: list[str] = []
    cursor = None
    while len(found) < 5:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/jobs", params=params)).json()
        found += [job["id"] for job in page["data"]]
        cursor = page["next_cursor"]
    assert found[:5] == made[::-1]
    none = await api.get("/v1/jobs", params={"kind": "image_to_3d", "status": "canceled"})
    assert none.json() == {"data": [], "next_cursor": None}


async def test_files_when_asked_for_parts_send_those(
    api: httpx2.AsyncClient,
) -> None:
    body = {"prompt": "ranges", "model": "fake", "params": {"outputs": 1}}
    job = (await api.post("/v1/generate", json=body, headers=WAIT)).json()
    url = job["outputs"][0]["url"]
    whole = await api.get(url)
    size = len(whole.content)
    assert whole.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert whole.headers["x-content-type-options"] == "nosniff"
    head = await api.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(size)
    for asked, expected in [
        ("bytes=0-3", whole.content[:4]),
        ("bytes=-5", whole.content[-5:]),
        ("bytes=10-", whole.content[10:]),
        (f"bytes=0-{size * 2}", whole.content),
    ]:
        part = await api.get(url, headers={"Range": asked})
        assert (part.status_code, part.content) == (206, expected)
        assert part.headers["content-range"].endswith(f"/{size}")
    assert (await api.get(url, headers={"Range": f"bytes={size}-"})).status_code == 416
    assert (await api.get(url, headers={"Range": "bytes=5-2"})).status_code == 200
    etag = whole.headers["etag"]
    same = await api.get(url, headers={"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")
    saved = await api.get(job["outputs"][0]["download_url"])
    assert saved.headers["content-disposition"].startswith("attachment")
    led = await api.get(f"/v1/jobs/{job['id']}/download")
    assert (led.status_code, led.headers["location"]) == (303, job["outputs"][0]["download_url"])


async def test_objects_of_others_when_asked_for_are_not_found(
    api: httpx2.AsyncClient, server: RunningServer
) -> None:
    job = (await api.post("/v1/generate", json=NOTHING | {"prompt": "mine"}, headers=WAIT)).json()
    async with server.client(key=await server.new_account_key()) as other:
        for method, path in [
            ("GET", f"/v1/jobs/{job['id']}"),
            ("GET", f"/v1/jobs/{job['id']}/events"),
            ("GET", f"/v1/jobs/{job['id']}/attempts"),
            ("POST", f"/v1/jobs/{job['id']}/cancel"),
            ("POST", f"/v1/jobs/{job['id']}/redrive"),
            ("DELETE", f"/v1/jobs/{job['id']}"),
        ]:
            answer = await other.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await other.get("/v1/jobs")).json()["data"] == []


async def test_session_when_opened_from_another_site_cannot_write(server: RunningServer) -> None:
    async with httpx2.AsyncClient(base_url=server.url) as browser:
        opened = await browser.get(server.login_url)
        assert (opened.status_code, opened.headers["location"]) == (303, "./")
        assert "httponly" in opened.headers["set-cookie"].lower()
        assert (await browser.get("/v1/account")).status_code == 200
        body = NOTHING | {"prompt": "from the page"}
        own = {"Sec-Fetch-Site": "same-origin", "Origin": server.url}
        assert (await browser.post("/v1/generate", json=body, headers=own)).status_code == 202
        for foreign in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            answer = await browser.post("/v1/generate", json=body, headers=foreign)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert (await browser.delete("/v1/session", headers=own)).status_code == 204
        assert (await browser.get("/v1/account")).status_code == 401


async def test_probes_when_asked_answer_without_a_key(server: RunningServer) -> None:
    async with httpx2.AsyncClient(base_url=server.url) as anybody:
        assert (await anybody.get("/health/live")).json() == {"status": "ok"}
        ready = (await anybody.get("/health/ready")).json()
        assert set(ready["checks"]) == {
            "database",
            "storage",
            "disk",
            "doorbell",
            "providers",
            "workers",
        }
        metrics = (await anybody.get("/metrics")).text
        assert "safelight_job_moves_total" in metrics
        assert (await anybody.get("/docs")).status_code == 200
        explained = (await anybody.get("/problems/no_foreground")).json()
        assert explained["status"] == 422
