"""The provider's files are valid glTF in Khronos' and trimesh's eyes, and children stay small."""

import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import trimesh

from safelight.cpu import CpuPool, Limits
from safelight.providers.errors import NoForeground
from safelight.providers.local.inflate import InflateProvider
from safelight.providers.local.inflate.make import make_model
from safelight.providers.local.inflate.order import Order, Params
from safelight.providers.provider import Done, InputFile, Kind, ProviderRequest

_ROOT = Path(__file__).parents[2]
_PARAMS: dict[str, dict[str, Any]] = {
    "usual": {},
    "many triangles in a large relief": {"mode": "relief", "face_limit": 200_000, "size_m": 1000},
    "untextured, small and thin": {
        "texture": False,
        "smoothing": 0,
        "size_m": 0.01,
        "thickness": 0.1,
    },
    "few triangles and thick": {"face_limit": 500, "texture_size": 256, "thickness": 2},
}


@dataclass(slots=True)
class _Attempt:
    id: str = "att_1"
    callback_url: str | None = None
    news: bytes | None = None
    heard: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def report(self, progress: float, stage: str, picture: Path | None = None) -> None:
        self.heard.append((progress, stage))


@pytest.fixture
async def pool(anyio_backend: str) -> AsyncIterator[CpuPool]:
    pool = CpuPool(1)
    yield pool
    pool.close()


def _star(side: int = 500) -> pyvips.Image:
    """A five-armed thing with a hole and colors that change, on nothing."""
    down, across = np.mgrid[:side, :side] / (side / 2) - 1
    angle, far = np.arctan2(down, across), np.hypot(down, across)
    inside = (far < 0.65 + 0.25 * np.cos(5 * angle)) & (far > 0.15)
    colors = [120 + 90 * np.sin(4 * far), 100 + 80 * across, 150 - 70 * down, 255 * inside]
    return pyvips.Image.new_from_array(np.stack(colors, axis=-1).astype(np.uint8))


def _validated(files: list[Path]) -> list[dict[str, Any]]:
    own = _ROOT / ".tools" / "bin" / "node"
    node = str(own) if own.exists() else shutil.which("node")
    assert node, "Node.js is missing: make setup-dev"
    script = _ROOT / "tests" / "validate_glb.mjs"
    done = subprocess.run(
        [node, str(script), *map(str, files)], capture_output=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def test_models_when_made_pass_the_validator_without_errors_or_warnings(tmp_path: Path) -> None:
    picture = tmp_path / "star.png"
    _star().pngsave(str(picture))
    files: list[Path] = []
    for name, params in _PARAMS.items():
        files.append(tmp_path / f"{name}.glb")
        order = Order(picture, Params(**params), files[-1])
        make_model(order)
    for file, report in zip(files, _validated(files), strict=True):
        issues = report["issues"]
        assert (issues["numErrors"], issues["numWarnings"]) == (0, 0), (file.name, issues)
        assert report["info"]["totalTriangleCount"] <= _PARAMS[file.stem].get("face_limit", 60_000)


@pytest.mark.parametrize("params", [{}, {"mode": "relief"}], ids=["inflate", "relief"])
async def test_provider_when_given_a_picture_makes_a_closed_model(
    tmp_path: Path, pool: CpuPool, params: dict[str, Any]
) -> None:
    attempt = _Attempt()
    done = await InflateProvider(pool).start(_request(tmp_path, _star(), params), attempt)
    assert isinstance(done, Done)
    (made,) = done.outputs
    assert (made.name, made.media_type) == ("my star.glb", "model/gltf-binary")
    assert made.path == tmp_path / "scratch" / "model.glb"
    mesh = trimesh.load_mesh(made.path)
    assert isinstance(mesh, trimesh.Trimesh)
    assert (mesh.is_watertight, mesh.is_winding_consistent) == (True, True)
    assert mesh.volume > 0
    assert made.facts["triangles"] == len(mesh.faces)
    assert made.facts["bounding_box_m"] == pytest.approx(mesh.extents.tolist(), abs=1e-4)
    assert {stage for _, stage in attempt.heard} <= {
        "finding the object",
        "inflating",
        "texturing",
    }


async def test_provider_when_there_is_no_object_says_so(tmp_path: Path, pool: CpuPool) -> None:
    blank = pyvips.Image.black(300, 200, bands=3) + 255
    with pytest.raises(NoForeground):
        await InflateProvider(pool).start(_request(tmp_path, blank, {}), _Attempt())


async def test_model_when_the_picture_is_huge_fits_into_two_gigabytes(
    tmp_path: Path, pool: CpuPool
) -> None:
    picture = tmp_path / "huge.jpg"
    _star(256).flatten(background=[255]).resize(16).jpegsave(str(picture))
    order = Order(picture, Params(texture_size=1024), tmp_path / "m.glb")
    limits = Limits(memory_bytes=2 * 2**30)
    facts = await pool.run(make_model, order, reads=[picture], writes=[tmp_path], limits=limits)
    assert (facts["mask"], facts["watertight"]) == ("border", True)


def _request(tmp_path: Path, image: pyvips.Image, params: dict[str, Any]) -> ProviderRequest:
    picture = tmp_path / "picture"
    image.cast("uchar").pngsave(str(picture))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return ProviderRequest(
        kind=Kind.IMAGE_TO_3D,
        model="inflate",
        prompt="",
        params=params,
        inputs=(InputFile(picture, "image/png", "my star.png"),),
        folder=scratch,
    )
