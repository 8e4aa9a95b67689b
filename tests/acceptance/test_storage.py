"""A server whose files are in a bucket: what is public, what is private, and an outage."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from safelight.storage.place import parse_place
from tests import brokers, buckets
from tests.acceptance.conftest import RunningServer
from tests.brokers import Broker
from tests.servers import wait_until_async

pytestmark = pytest.mark.slow

WAIT = {"Prefer": "wait=60"}
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with brokers.running(buckets.seaweed(tmp_path_factory.mktemp("weed"))) as server:
        yield server


@pytest.fixture(scope="module")
def place(weed: Broker) -> str:
    """The file store of this module's server."""
    return buckets.new_place(weed)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, weed: Broker, place: str
) -> Iterator[RunningServer]:
    extra = {
        "SAFELIGHT_STORAGE": place,
        "SAFELIGHT_PRIVATE_FILES": "bucket",
        "SAFELIGHT_RETRY_CAP_S": "1",
        **buckets.ENVIRONMENT,
    }
    running = RunningServer(tmp_path_factory.mktemp("server") / "data", extra)
    running.start()
    yield running
    running.close()


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as client:
        yield client


@pytest.fixture
async def anybody() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=30, trust_env=False) as client:
        yield client


def in_bucket(weed: Broker, place: str) -> set[str]:
    folder = parse_place(place).folder
    listed = buckets.client(weed).list_objects_v2(Bucket=buckets.BUCKET, Prefix=f"{folder}/")
    keys = {each["Key"].removeprefix(f"{folder}/") for each in listed.get("Contents", [])}
    return keys - {"health/probe"}


async def make(api: httpx2.AsyncClient, **wanted: Any) -> dict[str, Any]:
    answer = await api.post("/v1/generate", json={"prompt": "a boat", **wanted}, headers=WAIT)
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"][0]


def key_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/files/")


async def test_picture_when_public_is_in_the_bucket_and_had_by_anybody(
    api: httpx2.AsyncClient,
    anybody: httpx2.AsyncClient,
    weed: Broker,
    place: str,
    server: RunningServer,
) -> None:
    made = await make(api)
    assert made["visibility"] == "public"
    assert key_of(made["url"]) in in_bucket(weed, place)
    whole = await anybody.get(made["url"])
    part = await anybody.get(made["url"], headers={"Range": "bytes=1-3"})
    again = await anybody.get(made["url"], headers={"If-None-Match": whole.headers["etag"]})
    assert (whole.status_code, whole.content[:4]) == (200, PNG)
    assert (part.status_code, part.content) == (206, b"PNG")
    assert again.status_code == 304
    assert not (server.data_dir / "objects").exists()


async def test_picture_when_private_is_sent_on_to_the_bucket_for_a_while(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient, weed: Broker
) -> None:
    made = await make(api, visibility="private")
    assert made["visibility"] == "private"
    sent_on = await anybody.get(made["url"])
    assert sent_on.status_code == 307
    assert sent_on.headers["cache-control"] == "no-store"
    address = sent_on.headers["location"]
    assert urlsplit(address).port == weed.port
    got = await anybody.get(address)
    assert (got.status_code, got.content[:4]) == (200, PNG)
    assert got.headers["content-type"] == "image/png"
    saved = await anybody.get(made["download_url"])
    assert (saved.status_code, saved.content) == (200, got.content)
    assert saved.headers["content-disposition"].startswith("attachment")
    plain = await anybody.get(made["url"].partition("?")[0])
    forged = await anybody.get(made["url"][:-1] + ("A" if made["url"][-1] != "A" else "B"))
    assert (plain.status_code, forged.status_code) == (403, 403)


async def test_picture_when_made_private_has_no_public_address_any_more(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient, weed: Broker, place: str
) -> None:
    made = await make(api)
    answer = await api.patch(f"/v1/assets/{made['id']}", json={"visibility": "private"})
    assert answer.status_code == 200, answer.text
    hidden = answer.json()
    assert (await anybody.get(made["url"])).status_code == 404
    assert (await anybody.get(made["renditions"]["thumb"]["url"])).status_code == 404
    assert (await anybody.get(hidden["url"], follow_redirects=True)).content[:4] == PNG
    there = in_bucket(weed, place)
    assert key_of(made["url"]) not in there
    assert key_of(hidden["url"]) in there
    shown = (await api.patch(f"/v1/assets/{made['id']}", json={"visibility": "public"})).json()
    assert (await anybody.get(hidden["url"], follow_redirects=True)).status_code == 404
    assert (await anybody.get(shown["url"])).content[:4] == PNG


async def test_other_size_when_private_is_signed_with_an_end(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient
) -> None:
    made = await make(api, visibility="private")
    promised = (await api.get(f"/v1/assets/{made['id']}/renditions?w=64&format=webp")).json()
    got = await anybody.get(promised["url"])
    assert (got.status_code, got.headers["content-type"]) == (200, "image/webp")
    assert got.headers["cache-control"].startswith("private")
    later = promised["url"].replace("until=1", "until=2")
    assert (await anybody.get(later)).status_code == 403


async def test_account_when_private_is_what_jobs_and_uploads_are_unless_they_say(
    api: httpx2.AsyncClient,
) -> None:
    assert (await api.patch("/v1/account", json={"visibility": "private"})).status_code == 200
    try:
        assert (await make(api))["visibility"] == "private"
        assert (await make(api, visibility="public"))["visibility"] == "public"
        png = {"file": ("dot.png", _dot(), "image/png")}
        assert (await api.post("/v1/uploads", files=png)).json()["visibility"] == "private"
    finally:
        await api.patch("/v1/account", json={"visibility": "public"})


def _dot() -> bytes:
    import pyvips  # noqa: PLC0415  heavy

    return pyvips.Image.black(8, 8).pngsave_buffer()


async def test_file_when_asked_for_too_often_says_when_to_come_again(
    tmp_path: Path, anybody: httpx2.AsyncClient
) -> None:
    server = RunningServer(tmp_path / "data", {"SAFELIGHT_FILE_REQUESTS_PER_S": "2"})
    server.start()
    try:
        async with server.client() as client:
            made, other = await make(client), await make(client)
        answers = [await anybody.get(made["url"]) for _ in range(8)]
        assert [each.status_code for each in answers[:4]] == [200] * 4
        assert answers[-1].status_code == 429
        assert answers[-1].headers["retry-after"] == "1"
        assert answers[-1].json()["code"] == "too_many_requests"
        assert (await anybody.get(other["url"])).status_code == 200
    finally:
        server.close()


async def test_delete_when_asked_empties_the_bucket_of_it(
    api: httpx2.AsyncClient, weed: Broker, place: str
) -> None:
    made = await make(api)
    keys = {key_of(made["url"]), *(key_of(each["url"]) for each in made["renditions"].values())}
    assert keys <= in_bucket(weed, place)
    assert (await api.delete(f"/v1/assets/{made['id']}")).status_code == 200
    assert not keys & in_bucket(weed, place)


async def test_job_when_the_bucket_is_away_waits_with_its_result(
    api: httpx2.AsyncClient, anybody: httpx2.AsyncClient, weed: Broker
) -> None:
    weed.kill()
    try:
        answer = await api.post("/v1/generate", json={"prompt": "a storm"})
        assert answer.status_code == 202
        job = answer.json()

        async def is_kept_waiting() -> bool:
            shown = (await api.get(f"/v1/jobs/{job['id']}")).json()
            assert shown["status"] in ("queued", "running")
            return shown["stage"] == "The file store failed"

        async def is_unready() -> bool:
            return (await api.get("/health/ready", timeout=60)).status_code == 503

        await wait_until_async(is_kept_waiting, 30)
        await wait_until_async(is_unready, 60)
    finally:
        weed.start()

    async def is_done() -> dict[str, Any] | None:
        shown = (await api.get(f"/v1/jobs/{job['id']}")).json()
        return shown if shown["status"] == "succeeded" else None

    done = await wait_until_async(is_done, 60)
    assert (await anybody.get(done["outputs"][0]["url"])).content[:4] == PNG
