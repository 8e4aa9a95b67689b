"""Rough pictures on the way, from a vendor's stream to who watches the job."""

import base64
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from safelight.cpu import CpuPool
from safelight.media.pictures.glimpse import SIDE
from safelight.media.pictures.inspect import InspectRules, inspect
from tests import pictures
from tests.acceptance.conftest import RunningServer
from tests.acceptance.test_api import follow
from tests.stubs import vendor
from tests.stubs.openai import OpenAiStub

pytestmark = pytest.mark.slow

APART_S = 1.5  # longer than word of progress is held back


@pytest.fixture
async def openai() -> AsyncIterator[OpenAiStub]:
    async with OpenAiStub(pictures.picture("png", 1024, 640)).running() as running:
        yield running


@pytest.fixture
def server(tmp_path: Path, openai: OpenAiStub) -> Iterator[RunningServer]:
    running = RunningServer(
        tmp_path / "data",
        {"SAFELIGHT_OPENAI_API_KEY": "sk-test", "SAFELIGHT_OPENAI_BASE_URL": openai.base_url},
    )
    running.start()
    yield running
    running.close()


async def test_stream_when_a_vendor_sends_rough_pictures_shows_them_small(
    server: RunningServer, openai: OpenAiStub, tmp_path: Path
) -> None:
    openai.say(vendor.in_frames(APART_S))
    body = {"prompt": "a boat", "model": "openai/gpt-image-1.5", "params": {"partial_images": 2}}
    async with server.client() as api:
        job = (await api.post("/v1/generate", json=body)).raise_for_status().json()
        heard = await follow(api, job["events_url"])
    shown = [frame["data"]["data"] for frame in heard if frame.get("event") == "job.progress"]
    previews = [data["preview"] for data in shown if "preview" in data]
    assert len(previews) == 2
    assert heard[-1]["data"]["data"]["status"] == "succeeded"
    picture = tmp_path / "preview"
    picture.write_bytes(base64.b64decode(previews[0].removeprefix("data:image/webp;base64,")))
    pool = CpuPool(1)
    try:
        facts = await pool.run(inspect, picture, InspectRules(), reads=[picture])
    finally:
        pool.close()
    assert (facts.format, facts.width, facts.height) == ("webp", SIDE, 200)
