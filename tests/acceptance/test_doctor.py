"""`safelight doctor`: a table of what is well, vendors asked at no cost, and one real job."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import pictures
from tests.acceptance.conftest import command, environment
from tests.models import glb
from tests.stubs.fal import KEY, FalStub
from tests.stubs.vendor import refuse

pytestmark = pytest.mark.slow

DEADLINE_S = 90.0


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    notes: str


@pytest.fixture
async def fal() -> AsyncIterator[FalStub]:
    async with FalStub(pictures.picture("png"), work_s=0.2).running() as running:
        yield running


async def doctor(fal: FalStub, data: Path, *words: str, key: str = KEY) -> Ended:
    """Run the command on a data directory of its own; the stub answers meanwhile."""
    extra = {
        "SAFELIGHT_FAL_KEY": key,
        "SAFELIGHT_FAL_QUEUE_URL": fal.url,
        "SAFELIGHT_FETCH_ALLOW_PRIVATE": "1",
        "SAFELIGHT_FETCH_PORTS": str(fal.port),
    }
    process = await asyncio.create_subprocess_exec(
        *command("doctor", *words),
        env=environment(data, extra),
        cwd=data.parent,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(DEADLINE_S):
        out, notes = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), notes.decode())


async def test_doctor_when_all_is_well_lists_every_part(fal: FalStub, tmp_path: Path) -> None:
    ended = await doctor(fal, tmp_path / "data", "--json")
    assert ended.code == 0, ended
    found = {check["name"]: check for check in json.loads(ended.out)}
    assert {"database", "storage", "disk", "doorbell", "sketch", "fal"} <= set(found)
    assert found["decoders"]["detail"] == "caged"
    assert found["fal"]["detail"] == "the key is valid"
    assert "fal/fal-ai/flux/schnell" in found["fal"]["models"]
    assert found["callbacks"]["status"] == "unknown"
    assert fal.orders == []  # nothing was paid

    ended = await doctor(fal, tmp_path / "data")
    assert "the key is valid" in ended.out
    assert "SAFELIGHT_PUBLIC_URL" in ended.out


async def test_doctor_when_a_key_is_wrong_says_so_and_fails(fal: FalStub, tmp_path: Path) -> None:
    fal.fault("GET", ".*", refuse(401, {"detail": "Authentication is required"}))
    ended = await doctor(fal, tmp_path / "data", "--provider", "fal", "--live", key="wrong")
    assert ended.code == 1
    assert "FAILED" in ended.out
    assert "Authentication is required" in ended.out
    assert "Not well: fal." in ended.notes
    assert fal.orders == []


async def test_doctor_when_it_is_live_does_one_job_to_its_end(fal: FalStub, tmp_path: Path) -> None:
    target = tmp_path / "cat.png"
    words = ("--provider", "fal", "--live", "--output", str(target))
    ended = await doctor(fal, tmp_path / "data", *words)
    assert ended.code == 0, ended
    assert "One job by fal/fal-ai/flux/schnell, for real; its price: unknown." in ended.notes
    assert target.read_bytes() == fal.picture
    assert len(fal.orders) == 1


async def test_doctor_when_a_model_works_from_a_picture_wants_one(
    fal: FalStub, tmp_path: Path
) -> None:
    fal.output = {"task_id": "t", "model_mesh": {"url": "{url}/files/model.glb"}}
    model = "fal/tripo3d/tripo/v2.5/image-to-3d"
    words = ("--provider", "fal", "--live", "--model", model)
    ended = await doctor(fal, tmp_path / "data", *words)
    assert (ended.code, fal.orders) == (2, [])
    assert "give one with --picture" in ended.notes

    picture = tmp_path / "cup.png"
    picture.write_bytes(pictures.picture("png"))
    target = tmp_path / "cup.glb"
    words += ("--picture", str(picture), "--output", str(target))
    ended = await doctor(fal, tmp_path / "data", *words)
    assert ended.code == 0, ended
    assert target.read_bytes() == glb()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--live",), 2, "name it with --provider"),
        (("--provider", "nobody"), 2, "There is no provider 'nobody'"),
        (("--provider", "fal", "--live", "--model", "fal/none"), 2, "has no such model"),
    ],
)
async def test_doctor_when_it_is_asked_wrongly_says_how(
    fal: FalStub, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    ended = await doctor(fal, tmp_path / "data", *words)
    assert ended.code == code
    assert said in ended.notes
