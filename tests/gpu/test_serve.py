"""The server of the SageMaker container, asked as Safelight's plug has SageMaker ask it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from safelight.jobs.params import complete_params
from safelight.providers.errors import ProviderBadInput
from safelight.providers.provider import InputFile, Kind, ProviderRequest
from safelight.providers.remote.sagemaker.answer import read_answer
from safelight.providers.remote.sagemaker.config import image_model
from safelight.providers.remote.sagemaker.order import write_order
from tests.gpu.asking import mask, picture
from tests.gpu.conftest import Models
from tests.servers import free_port

_START_S = 60.0


@pytest.fixture(scope="module")
async def server(anyio_backend: str, models: Models) -> AsyncIterator[httpx2.AsyncClient]:
    """The real program, with the tiny SDXL; what it said first of `/ping` is 503."""
    port = free_port()
    environment = {
        "SAFELIGHT_MODEL_FOLDER": str(models.sdxl.source),
        "SAFELIGHT_DEVICE": "cpu",
        "SAFELIGHT_HOST": "127.0.0.1",
        "SAFELIGHT_PORT": str(port),
        "SAFELIGHT_SIDE": "64",
    }
    program = [sys.executable, "-m", "safelight.providers.local.diffusers.serve", "serve"]
    inherited = dict(os.environ)  # noqa: TID251  handed on, not read
    with subprocess.Popen(program, env=inherited | environment) as process:  # noqa: ASYNC220  returns at once
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            statuses = await _statuses_until_ready(client)
            assert statuses[0] == 503
            yield client
        process.terminate()
        assert process.wait(20) in (0, -15)


async def _statuses_until_ready(client: httpx2.AsyncClient) -> list[int]:
    statuses: list[int] = []
    async with asyncio.timeout(_START_S):
        while statuses[-1:] != [200]:
            try:
                statuses.append((await client.get("/ping")).status_code)
            except httpx2.ConnectError:
                await asyncio.sleep(0.05)
            else:
                await asyncio.sleep(0.05)
    return statuses


def _order(folder: Path, inputs: tuple[InputFile, ...] = (), **params: object) -> bytes:
    model = image_model("safelight-image")
    small = {"width": 64, "height": 64, "num_inference_steps": 3, **params}
    kind = Kind.IMAGE_TO_IMAGE if inputs else Kind.TEXT_TO_IMAGE
    complete = complete_params(model, small)
    return write_order(ProviderRequest(kind, model.id, "a cat", complete, inputs, folder))


async def test_invocation_when_by_the_plug_is_answered_as_it_reads(
    server: httpx2.AsyncClient, folder: Path
) -> None:
    body = _order(folder, seed=5, num_images_per_prompt=2)
    answer = await server.post("/invocations", content=body)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    read = read_answer(answer.content)
    assert [made.facts["seed"] for made in read.made] == [5, 6]
    assert read.facts["model"] == "sdxl"
    again = await server.post("/invocations", content=body)
    assert [made.base64 for made in read_answer(again.content).made] == [
        made.base64 for made in read.made
    ]


async def test_invocation_when_with_picture_and_mask_is_answered(
    server: httpx2.AsyncClient, folder: Path
) -> None:
    body = _order(folder, (picture(folder), mask(folder)), seed=5)
    answer = await server.post("/invocations", content=body)
    assert len(read_answer(answer.content).made) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"[]",
        b"{}",
        b'{"prompt": "a cat", "width": 65}',
        b'{"prompt": "a cat", "unknown": 1}',
        b'{"prompt": "a cat", "images": ["%%%"]}',
        b'{"prompt": "a cat", "images": ["aGVsbG8="]}',
        b'{"prompt": "a cat", "images": "aGVsbG8="}',
    ],
)
async def test_invocation_when_bad_tells_the_plug_so(
    server: httpx2.AsyncClient, body: bytes
) -> None:
    answer = await server.post("/invocations", content=body)
    assert answer.status_code == 400
    with pytest.raises(ProviderBadInput):
        read_answer(answer.content)


async def test_address_when_unknown_is_not_found(server: httpx2.AsyncClient) -> None:
    assert (await server.get("/")).status_code == 404
