"""The models of the inflate provider, which cost the server nothing until used."""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import jsonschema_rs
import pytest

from safelight.cpu import CpuPool
from safelight.providers.errors import ProviderBadInput, ProviderRejected
from safelight.providers.local.inflate import InflateProvider
from safelight.providers.local.inflate.order import Params
from safelight.providers.price import FREE
from safelight.providers.provider import Kind, Lane, ProviderRequest

_HEAVY = {"numpy", "scipy", "trimesh", "pyvips"}


class _Attempt:
    id = "att_1"
    callback_url: str | None = None
    news: bytes | None = None

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        raise AssertionError("Nothing should have begun.")


def _request(tmp_path: Path) -> ProviderRequest:
    return ProviderRequest(Kind.IMAGE_TO_3D, "inflate", "", {}, (), tmp_path)


def test_provider_when_imported_loads_nothing_heavy() -> None:
    code = "import sys, safelight.providers.local.inflate; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert _HEAVY.isdisjoint(done.stdout.split())


def test_model_when_offered_is_free_local_and_repeatable() -> None:
    (model,) = InflateProvider(CpuPool(1)).capabilities()
    assert (model.id, model.provider, model.lane) == ("inflate", "inflate", Lane.LOCAL)
    assert model.kinds == {Kind.IMAGE_TO_3D}
    assert (model.repeatable, model.price, model.max_inputs) == (True, FREE, 1)
    assert model.timeout.total_seconds() == 120


def test_params_schema_when_read_has_the_defaults_that_the_code_has() -> None:
    (model,) = InflateProvider(CpuPool(1)).capabilities()
    properties = model.params_schema["properties"]
    assert {name: rule["default"] for name, rule in properties.items()} == asdict(Params())
    assert all(rule["title"] and rule["description"] for rule in properties.values())
    assert Params.read({}) == Params()
    assert Params.read({"mode": "relief", "size_m": 2}) == Params(mode="relief", size_m=2)


@pytest.mark.parametrize(
    ("params", "valid"),
    [
        ({}, True),
        ({"mode": "relief", "thickness": 0.1, "face_limit": 500, "mask": "border"}, True),
        ({"texture": False, "texture_size": 4096, "smoothing": 1, "size_m": 0.05}, True),
        ({"face_limit": 499}, False),
        ({"face_limit": 600.5}, False),
        ({"thickness": 0}, False),
        ({"size_m": 0}, False),
        ({"mask": "magic"}, False),
        ({"color": "red"}, False),
    ],
)
def test_params_schema_when_applied_takes_only_what_makes_sense(
    params: dict[str, object], valid: bool
) -> None:
    (model,) = InflateProvider(CpuPool(1)).capabilities()
    schema = jsonschema_rs.validator_for(dict(model.params_schema))
    assert schema.is_valid(params) is valid


async def test_start_when_there_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProviderBadInput):
        await InflateProvider(CpuPool(1)).start(_request(tmp_path), _Attempt())


async def test_check_when_asked_is_refused_for_nothing_ever_waits(tmp_path: Path) -> None:
    with pytest.raises(ProviderRejected):
        await InflateProvider(CpuPool(1)).check("ticket", _request(tmp_path), _Attempt())
