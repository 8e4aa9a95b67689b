"""What every provider plug must do."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from safelight.cpu import CpuPool
from safelight.errors import SafelightError
from safelight.fetch import Fetcher, FetchPolicy
from safelight.jobs.inputs import complete_params
from safelight.providers.fake import FakeProvider
from safelight.providers.inflate import InflateProvider
from safelight.providers.link import LinkProvider
from safelight.providers.provider import Done, InputFile, Kind, Model, Provider, ProviderRequest
from safelight.providers.sketch import SketchProvider
from tests import pictures

PLUGS = ("sketch", "inflate", "link", "fake")


class Handle:
    """An attempt that remembers what was reported."""

    id = "att_test"
    callback_url: str | None = None
    news: bytes | None = None

    def __init__(self) -> None:
        self.heard: list[tuple[float, str]] = []

    def report(self, progress: float, stage: str) -> None:
        self.heard.append((progress, stage))


@pytest.fixture(params=PLUGS)
async def plug(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Provider]:
    pool = CpuPool(1)
    async with Fetcher(FetchPolicy()) as fetcher:
        made: dict[str, Provider] = {
            "sketch": SketchProvider(pool),
            "inflate": InflateProvider(pool),
            "link": LinkProvider(fetcher),
            "fake": FakeProvider(tmp_path / "ledger.jsonl"),
        }
        yield made[str(request.param)]
    pool.close()


def params_of(model: Model) -> dict[str, Any]:
    return complete_params(model, {})


async def test_capabilities_when_asked_are_valid_and_stable(plug: Provider) -> None:
    models = plug.capabilities()
    assert models == plug.capabilities()
    for model in models:
        assert model.provider == plug.name
        assert model.kinds
        assert model.title
        assert model.description
        assert model.timeout.total_seconds() > 0
        jsonschema_rs.validator_for(orjson.loads(orjson.dumps(model.params_schema)))
        assert model.params_schema["additionalProperties"] is False
        params_of(model)


async def test_check_and_cancel_when_the_ticket_is_strange_raise_only_typed_errors(
    plug: Provider, tmp_path: Path
) -> None:
    model = plug.capabilities()[0]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    request = ProviderRequest(min(model.kinds), model.id, "a cat", params_of(model), (), scratch)
    # A plug may know nothing of it and say so, or look and find it done; never anything else.
    with contextlib.suppress(SafelightError):
        assert isinstance(await plug.check("no such ticket", request, Handle()), Done)
    await plug.cancel("no such ticket")


async def test_start_when_the_request_is_good_leaves_its_outputs_in_scratch(
    plug: Provider, tmp_path: Path
) -> None:
    if plug.name == "link":
        return  # its outputs need a server: see test_link_provider.py
    model = plug.capabilities()[0]
    scratch, source = tmp_path / "scratch", tmp_path / "source.png"
    scratch.mkdir()
    source.write_bytes(pictures.picture("png", 96, 96))
    inputs = (InputFile(source, "image/png", "source.png"),) if plug.name == "inflate" else ()
    kind = Kind.IMAGE_TO_3D if plug.name == "inflate" else Kind.TEXT_TO_IMAGE
    handle = Handle()
    request = ProviderRequest(kind, model.id, "a cat", params_of(model), inputs, scratch)
    answer = await plug.start(request, handle)
    assert isinstance(answer, Done)
    assert answer.cost_micros is None  # the price says it: it is free
    assert answer.outputs
    for output in answer.outputs:
        assert output.path.is_relative_to(scratch)
        assert output.path.stat().st_size > 0
        orjson.dumps(dict(output.facts))
    assert all(0 <= percent <= 100 for percent, _ in handle.heard)
