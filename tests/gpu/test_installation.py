"""A whole installation whose catalogue names tiny models: jobs through the API, in their lane."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import RunningServer
from tests.gpu.conftest import Models

CATALOGUE = """
[diffusers]
devices = ["cpu"]
threads = 1

[[diffusers.models]]
id = "tiny"
source = "$FOLDER"
size = [64, 64]
steps = 2
price = { second = 0.5, output = 0.25 }
"""


@pytest.fixture
def server(tmp_path: Path, models: Models) -> Iterator[RunningServer]:
    catalogue = tmp_path / "ours.toml"
    catalogue.write_text(CATALOGUE.replace("$FOLDER", str(models.sd.source)))
    running = RunningServer(tmp_path / "data", {"SAFELIGHT_CATALOGUE": str(catalogue)})
    running.start()
    yield running
    running.close()


async def test_generate_when_the_catalogue_names_a_local_model_draws_it_in_the_lane_gpu(
    server: RunningServer,
) -> None:
    async with server.client() as client:
        answer = await client.post(
            "/v1/generate",
            json={"prompt": "a red cat", "model": "tiny", "params": {"n": 2, "seed": 7}},
            headers={"Prefer": "wait=60"},
        )
        job = answer.json()
        assert (job["status"], job["provider"]) == ("succeeded", "diffusers"), answer.text
        assert [made["facts"]["seed"] for made in job["outputs"]] == [7, 8]
        assert job["cost_micros"] > 500_000  # two pictures, and the time they took
        assert (await client.get(job["outputs"][0]["url"])).headers["content-type"] == "image/png"
