"""A catalogue in a real server: a service described by it alone, prices, and who may use what."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import RunningServer, command, environment
from tests.pictures import picture
from tests.stubs.http_service import ServiceStub

pytestmark = pytest.mark.slow

CATALOGUE = """
currency = "EUR"

[defaults]
text_to_image = "any"

[aliases.any]
models = ["own/paint", "sketch"]

[models.sketch]
params.n.maximum = 2
price = { output = 0.5 }

[models.fake]
accounts = ["acc_somebody"]

[http.own]
url = "$URL/urls"
body = { text = "$prompt", count = "$params.n" }
media = "images.*.url"
facts = { seed = "meta.seed" }

[[http.own.models]]
id = "own/paint"
title = "Paint"
kinds = ["text_to_image", "image_to_image"]
max_inputs = 1
roles = ["reference", "mask"]
params.n = { type = "integer", minimum = 1, maximum = 4, default = 2 }
price = { job = 0.01, output = 0.25 }
"""


@pytest.fixture
async def service() -> AsyncIterator[ServiceStub]:
    async with ServiceStub(picture()).running() as running:
        yield running


@pytest.fixture
def server(tmp_path: Path, service: ServiceStub) -> Iterator[RunningServer]:
    catalogue = tmp_path / "ours.toml"
    catalogue.write_text(CATALOGUE.replace("$URL", service.url))
    running = RunningServer(
        tmp_path / "data",
        {
            "SAFELIGHT_CATALOGUE": str(catalogue),
            "SAFELIGHT_FETCH_ALLOW_PRIVATE": "1",
            "SAFELIGHT_FETCH_PORTS": str(service.port),
        },
    )
    running.start()
    yield running
    running.close()


async def make(server: RunningServer, **body: Any) -> dict[str, Any]:
    async with server.client() as client:
        answer = await client.post("/v1/generate", json=body, headers={"Prefer": "wait=60"})
        assert answer.status_code == 200, answer.text
        return answer.json()


async def test_catalogue_when_it_describes_a_service_makes_it_a_model_like_any_other(
    server: RunningServer, service: ServiceStub
) -> None:
    async with server.client() as client:
        listed = (await client.get("/v1/models")).json()
    models = {model["id"]: model for model in listed["data"]}
    assert listed["currency"] == "EUR"
    assert listed["aliases"] == {"any": ["own/paint", "sketch"]}
    assert models["own/paint"]["price_micros"] == 510_000
    assert models["own/paint"]["price"]["output"] == 0.25
    assert models["own/paint"]["roles"] == ["mask", "reference"]
    assert "fake" not in models  # another account's

    job = await make(server, prompt="a red cat")
    assert (job["status"], job["model"], job["provider"]) == ("succeeded", "own/paint", "own")
    assert (job["estimate_micros"], job["cost_micros"]) == (510_000, 510_000)
    (asked,) = service.called("POST", "/urls")
    assert asked.json == {"text": "a red cat", "count": 2}


async def test_catalogue_when_a_job_names_an_alias_falls_to_the_model_that_takes_it(
    server: RunningServer,
) -> None:
    job = await make(server, prompt="a red cat", model="any", size="256x256")
    assert (job["model"], job["cost_micros"]) == ("sketch", 500_000)
    async with server.client() as client:
        body = {"prompt": "a cat", "model": "sketch", "n": 3}
        refused = await client.post("/v1/generate", json=body)
        hidden = await client.post("/v1/generate", json={"prompt": "a cat", "model": "fake"})
    assert refused.json()["errors"][0]["field"] == "n"
    assert hidden.json()["code"] == "unknown_model"


async def test_mask_when_a_model_takes_one_is_kept_apart_from_the_references(
    server: RunningServer, tmp_path: Path
) -> None:
    async with server.client() as client:
        ids: list[str] = []
        for more in range(2):
            content = picture(width=32 + more)
            sent = await client.post("/v1/uploads", files={"file": ("a.png", content)})
            ids.append(sent.json()["id"])
        alone = await client.post("/v1/generate", json={"prompt": "a cat", "mask": ids[1]})
        wrong = await client.post(
            "/v1/generate",
            json={"prompt": "x", "model": "sketch", "references": [ids[0]], "mask": ids[1]},
        )
    assert alone.status_code == 422
    assert wrong.json()["errors"] == [
        {"field": "mask", "message": "the model 'sketch' takes no mask"}
    ]
    job = await make(server, prompt="a hat", model="any", references=[ids[0]], mask=ids[1])
    assert (job["status"], job["model"]) == ("succeeded", "own/paint")
    assert job["inputs"] == [
        {"source": ids[0], "role": "reference"},
        {"source": ids[1], "role": "mask"},
    ]


def test_catalogue_when_it_has_a_mistake_stops_the_start_with_its_place(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "catalogue.toml").write_text("[models.sketch]\nprise = { job = 1 }\n")
    ended = subprocess.run(
        command("serve"),
        env=environment(data, {"SAFELIGHT_PORT": "0"}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert "catalogue.toml: models.sketch.prise" in ended.stderr
    assert "did you mean price?" in ended.stderr
    assert "Traceback" not in ended.stderr
