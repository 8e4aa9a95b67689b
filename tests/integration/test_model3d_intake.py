"""A model that comes in is checked, described and pictured in one visit to a child."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import trimesh
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from safelight.assets.intake import Intake, Origin
from safelight.cpu import CpuPool, OutOfResources
from safelight.db.engine import Database
from safelight.media.errors import MediaTruncated
from safelight.media.models.arrival import receive
from safelight.media.models.take_in import (
    GLB,
    ModelRules,
    TakenInModel,
    look_at_model,
    take_in_model,
)
from safelight.media.pictures.inspect import InspectRules
from safelight.providers.provider import MediaFile
from safelight.storage.disk import DiskStorage
from safelight.storage.storage import Storage
from tests import pictures
from tests.factories import new_account
from tests.models import FBX, glb, packed

_FBX = "application/vnd.autodesk.fbx"


@pytest.fixture
async def pool(anyio_backend: str) -> AsyncIterator[CpuPool]:
    pool = CpuPool(1)
    yield pool
    pool.close()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return DiskStorage(tmp_path / "objects")


@pytest.fixture
async def origin(database: Database) -> Origin:
    return Origin(await new_account(database))


def _intake(database: Database, storage: Storage, pool: CpuPool) -> Intake:
    return Intake(database, storage, pool, InspectRules())


def _cube(path: Path) -> Path:
    """A red cube with a green ball to its right."""
    cube, ball = trimesh.creation.box((1, 1, 1)), trimesh.creation.icosphere(radius=0.5)
    for mesh, color in ((cube, (255, 0, 0, 255)), (ball, (0, 255, 0, 255))):
        mesh.visual = TextureVisuals(material=PBRMaterial(baseColorFactor=color))
    right = np.eye(4)
    right[0, 3] = 1.5
    scene = trimesh.Scene(cube)
    scene.add_geometry(ball, transform=right)
    made = scene.export(file_type="glb")
    assert isinstance(made, bytes)
    path.write_bytes(made)
    return path


def _taken_in(path: Path) -> TakenInModel:
    folder = path.parent / "made"
    folder.mkdir()
    return take_in_model(path, folder, ModelRules())


def test_take_in_when_a_model_is_sound_makes_pictures_of_each_size(tmp_path: Path) -> None:
    made = _taken_in(_cube(tmp_path / "model.glb"))
    assert made.facts.undrawn == ""
    sizes = {name: (made.width, made.height) for name, made in made.pictures.items()}
    assert sizes == {"preview": (1024, 1024), "thumb": (256, 256), "turntable": (320, 320)}
    assert {each.media_type for each in made.pictures.values()} == {"image/webp"}
    preview, thumb = (
        pyvips.Image.new_from_file(str(made.pictures[name].content)).numpy()
        for name in ("preview", "thumb")
    )
    for picture in (preview, thumb):
        red, green, blue = (picture[..., k].astype(int) for k in range(3))
        reds, greens = (
            np.flatnonzero(k.any(axis=0))
            for k in (
                (red > 150) & (green < 100) & (blue < 100),
                (green > 150) & (red < 100) & (blue < 100),
            )
        )
        assert len(reds) > 0.2 * picture.shape[1]
        assert reds.min() < greens.min()
        assert reds.max() < greens.max()


def test_take_in_when_a_model_is_sound_makes_a_turntable_that_goes_round(tmp_path: Path) -> None:
    turntable = _taken_in(_cube(tmp_path / "model.glb")).pictures["turntable"]
    film: Any = pyvips.Image.new_from_file(str(turntable.content), n=-1)
    assert (film.get("n-pages"), film.get("page-height"), film.get("loop")) == (24, 320, 0)
    assert set(film.get("delay")) == {125}
    frames = film.numpy()[..., :3].reshape(24, 320, 320, 3).astype(int)
    greens = (frames[..., 1] > 150) & (frames[..., 0] < 100)
    columns = np.arange(320) - 160
    middles = [float((green.sum(axis=0) * columns).sum()) for green in greens]
    assert middles[0] > 0 > middles[12]  # half a turn later it is on the other side
    changes = [
        np.abs(one - two).mean() for one, two in zip(frames, np.roll(frames, 1, 0), strict=True)
    ]
    assert max(changes) < 3 * np.median(changes)  # the first goes on from the last, too
    assert turntable.bytes < 300_000


def test_take_in_when_a_texture_is_damaged_keeps_the_facts(tmp_path: Path) -> None:
    texture = pictures.picture("jpeg", 64, 64)
    texture = texture[: len(texture) // 2]
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": 36 + len(texture)}],
        "bufferViews": [
            {"buffer": 0, "byteLength": 36},
            {"buffer": 0, "byteOffset": 36, "byteLength": len(texture)},
        ],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "images": [{"bufferView": 1, "mimeType": "image/jpeg"}],
        "textures": [{"source": 0}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "material": 0}]}],
        "nodes": [{"mesh": 0}],
    }
    places = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes()
    path = tmp_path / "model.glb"
    path.write_bytes(packed(document, places + texture))
    made = _taken_in(path)
    assert made.pictures == {}
    assert made.facts.document()["undrawn"] == "The file is truncated or damaged"
    assert made.facts.triangles == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "extension"),
        ({"meshes": [], "nodes": []}, "no surface"),
    ],
)
def test_take_in_when_there_is_nothing_to_draw_says_why(
    tmp_path: Path, words: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "model.glb"
    path.write_bytes(glb(**words | ({"scenes": []} if "nodes" in words else {})))
    made = _taken_in(path)
    assert made.pictures == {}
    assert reason in made.facts.undrawn


def test_take_in_when_pictures_cannot_be_written_keeps_the_facts(tmp_path: Path) -> None:
    path = _cube(tmp_path / "model.glb")
    made = take_in_model(path, tmp_path / "no such folder", ModelRules())
    assert made.pictures == {}
    assert (made.facts.undrawn, made.facts.triangles) == ("drawing failed: Error", 1292)


class _Exhausted(CpuPool):
    """A pool whose children do not survive any drawing."""

    async def run(self, function: Any, *args: Any, **_: Any) -> Any:
        if function is look_at_model:
            return function(*args)
        raise OutOfResources("The work took too long.")


async def test_receive_when_drawing_takes_the_child_down_keeps_the_facts(tmp_path: Path) -> None:
    path = _cube(tmp_path / "model.glb")
    made = await receive(_Exhausted(1), path, tmp_path, ModelRules(), still=True)
    assert made.pictures == {}
    assert (made.facts.undrawn, made.facts.triangles) == ("The work took too long.", 1292)


async def test_receive_when_a_model_is_drawn_tells_how_far_it_is(
    tmp_path: Path, pool: CpuPool
) -> None:
    heard: list[tuple[float, str]] = []
    await receive(
        pool,
        _cube(tmp_path / "model.glb"),
        tmp_path,
        ModelRules(),
        still=False,
        report=lambda percent, stage: heard.append((percent, stage)),
    )
    stages = list(dict.fromkeys(stage for _, stage in heard))
    assert stages == [
        "checking the model",
        "measuring the model",
        "reading the textures",
        "rendering the turntable",
    ]
    percents = [percent for percent, _ in heard]
    assert percents == sorted(percents)


async def test_keep_media_when_a_model_comes_stores_it_with_its_pictures(
    tmp_path: Path, database: Database, storage: Storage, pool: CpuPool, origin: Origin
) -> None:
    media = MediaFile(
        _cube(tmp_path / "model.glb"), GLB, name="cube.glb", facts={"note": "made", "triangles": 7}
    )
    row = await _intake(database, storage, pool).keep_media(media, origin, 0)
    assert row["facts"]["note"] == "made"
    assert row["facts"]["triangles"] == 12 + 1280  # what is there, not what the provider says
    assert set(row["renditions"]) == {"preview", "thumb", "turntable"}
    for rendition in row["renditions"].values():
        assert (await storage.head(rendition["key"])).bytes == rendition["bytes"]


async def test_keep_media_when_the_provider_brings_a_picture_shows_that(
    tmp_path: Path, database: Database, storage: Storage, pool: CpuPool, origin: Origin
) -> None:
    preview = tmp_path / "preview.png"
    preview.write_bytes(pictures.picture("png", 640, 480))
    media = MediaFile(_cube(tmp_path / "model.glb"), GLB, preview=preview)
    row = await _intake(database, storage, pool).keep_media(media, origin, 0)
    sizes = {name: (each["width"], each["height"]) for name, each in row["renditions"].items()}
    assert sizes == {"preview": (640, 480), "thumb": (256, 192), "turntable": (320, 320)}


async def test_keep_media_when_the_providers_picture_is_damaged_makes_one(
    tmp_path: Path, database: Database, storage: Storage, pool: CpuPool, origin: Origin
) -> None:
    preview = tmp_path / "preview.png"
    preview.write_bytes(b"<html>expired</html>")
    media = MediaFile(_cube(tmp_path / "model.glb"), GLB, preview=preview)
    row = await _intake(database, storage, pool).keep_media(media, origin, 0)
    assert row["renditions"]["preview"]["width"] == 1024


async def test_keep_media_when_a_model_is_damaged_refuses_it(
    tmp_path: Path, database: Database, storage: Storage, pool: CpuPool, origin: Origin
) -> None:
    path = tmp_path / "model.glb"
    path.write_bytes(glb()[:-4])
    with pytest.raises(MediaTruncated):
        await _intake(database, storage, pool).keep_media(MediaFile(path, GLB), origin, 0)


async def test_keep_media_when_an_fbx_comes_keeps_it_as_it_is(
    tmp_path: Path, database: Database, storage: Storage, pool: CpuPool, origin: Origin
) -> None:
    path = tmp_path / "model.fbx"
    path.write_bytes(FBX)
    row = await _intake(database, storage, pool).keep_media(MediaFile(path, _FBX), origin, 0)
    assert (row["facts"], row["renditions"], row["media_type"]) == ({}, {}, _FBX)
