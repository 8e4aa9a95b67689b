"""Conversions of a GLB read the same in trimesh and in Pixar's own USD."""

import io
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
import trimesh
from PIL import Image
from scipy.spatial import KDTree
from trimesh.visual.material import PBRMaterial
from trimesh.visual.texture import TextureVisuals

from safelight.cpu import CpuPool, Limits
from safelight.media.errors import MediaTruncated, MediaUnsupported
from safelight.media.models.convert import ModelFormat, convert
from safelight.providers.local.inflate.make import make_model
from safelight.providers.local.inflate.order import Order, Params
from tests.solids import (
    PAINT,
    Floats,
    many_materials,
    mirrored_instances,
    noise,
    painted,
    plain,
    textured,
    write_glb,
    write_scene,
)
from tests.usd import Package

_CLOSE = 1e-5  # of the model's size
_LIMITS = Limits(cpu_s=20, memory_bytes=2**30, wall_s=60)


_SQUARE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float32)


def _mesh(**primitive: Any) -> dict[str, Any]:
    return {"meshes": [{"primitives": [{"attributes": {"POSITION": 0}, **primitive}]}]}


def _inflated(path: Path) -> None:
    down, across = np.mgrid[:200, :200] / 100 - 1
    inside = np.hypot(down, across) < 0.6 + 0.2 * np.cos(5 * np.arctan2(down, across))
    colors = [255 * inside, 100 + 80 * across, 150 - 70 * down, 255 * inside]
    picture = path.with_suffix(".png")
    image = pyvips.Image.new_from_array(np.stack(colors, axis=-1).astype(np.uint8))
    image.pngsave(str(picture))
    make_model(Order(picture, Params(face_limit=2000), path))


_MODELS: dict[str, Callable[[Path], None]] = {
    "many materials": many_materials,
    "mirrored instances": mirrored_instances,
    "inflated": _inflated,
}


# --- reading back ----------------------------------------------------------------------------


def _opened(path: Path) -> trimesh.Scene:
    loaded = trimesh.load_scene(path, process=False, maintain_order=True)
    assert isinstance(loaded, trimesh.Scene)
    return loaded


def _unpacked(archive: Path) -> Path:
    folder = archive.with_suffix("")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    (found,) = folder.glob("*.obj")
    return found


def _ball(path: Path) -> trimesh.Trimesh:
    """Return the part that is a textured ball, whatever its name is."""
    (found,) = (mesh for mesh in _opened(path).geometry.values() if len(mesh.faces) == 320)
    assert isinstance(found, trimesh.Trimesh)
    return found


def _look(mesh: trimesh.Trimesh) -> Any:
    assert isinstance(mesh.visual, TextureVisuals)
    return mesh.visual


def _upright(triangles: Floats) -> Floats:
    """Turn what has z up to have y up."""
    x, y, z = np.moveaxis(triangles, -1, 0)
    return np.stack([x, z, -y], axis=-1)


def _triangles_of(path: Path, form: ModelFormat) -> Floats:
    match form:
        case ModelFormat.OBJ:
            return _opened(_unpacked(path)).to_mesh().triangles
        case ModelFormat.USDZ:
            package = Package(path)
            return np.concatenate([mesh.triangles for mesh in package.meshes])
        case _:
            return _upright(_opened(path).to_mesh().triangles)


def _assert_same_triangles(found: Floats, wanted: Floats) -> None:
    """In any order and from any corner, but with the same winding."""
    assert len(found) == len(wanted)
    size = float(np.ptp(wanted.reshape(-1, 3), axis=0).max())
    turns = [np.roll(wanted, turn, axis=1).reshape(-1, 9) for turn in range(3)]
    distance, nearest = KDTree(np.concatenate(turns)).query(found.reshape(-1, 9))
    assert np.max(distance) < _CLOSE * size
    assert len(np.unique(np.asarray(nearest) % len(wanted))) == len(wanted)


def _is_watertight(triangles: Floats) -> bool:
    mesh = trimesh.Trimesh(
        triangles.reshape(-1, 3), np.arange(triangles.size // 3).reshape(-1, 3), process=False
    )
    mesh.merge_vertices(merge_tex=True, merge_norm=True, digits_vertex=5)
    return bool(mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0)


# --- tests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ModelFormat)
@pytest.mark.parametrize("model", _MODELS)
def test_model_when_converted_keeps_its_triangles_closed_and_in_place(
    tmp_path: Path, model: str, form: ModelFormat
) -> None:
    source = tmp_path / "source.glb"
    _MODELS[model](source)
    target = convert(source, form, tmp_path, "my model")
    assert target == tmp_path / f"my-model{form.ending}"
    wanted = _opened(source).to_mesh().triangles
    found = _triangles_of(target, form)
    _assert_same_triangles(found, wanted)
    assert _is_watertight(found)


@pytest.mark.parametrize("form", ModelFormat)
def test_conversion_when_done_again_makes_the_same_bytes(tmp_path: Path, form: ModelFormat) -> None:
    source = tmp_path / "source.glb"
    many_materials(source)
    again = tmp_path / "again"
    again.mkdir()
    first = convert(source, form, tmp_path, "model").read_bytes()
    assert convert(source, form, again, "model").read_bytes() == first


def test_obj_when_unpacked_has_the_texture_its_places_and_the_materials(tmp_path: Path) -> None:
    source = tmp_path / "source.glb"
    many_materials(source)
    unpacked = _unpacked(convert(source, ModelFormat.OBJ, tmp_path, "Élan vital/9"))
    names = sorted(path.name for path in unpacked.parent.iterdir())
    assert names == ["Élan-vital-9.mtl", "Élan-vital-9.obj", "Élan-vital-9.png"]
    ball, given = _ball(unpacked), _ball(source)
    assert np.array_equal(np.asarray(_look(ball).material.image), np.asarray(noise(16, 8)))
    # Which vertex is which, the reader may decide: each triangle must find its texture places.
    found, wanted = (_look(mesh).uv[mesh.faces] for mesh in (ball, given))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    mtl = unpacked.with_suffix(".mtl").read_text()
    assert mtl.count("newmtl") == 3
    assert "newmtl my-skin\nKd 1.0000 1.0000 1.0000\n" in mtl
    # 51/255 and the like: trimesh keeps factors in 8 bits; sRGB of 0.2 is 0.4845.
    assert "Kd 1.0000 0.4845 0.4845" in mtl


def test_obj_when_vertices_have_colors_has_them_in_srgb(tmp_path: Path) -> None:
    source = tmp_path / "source.glb"
    write_scene(source, painted())
    unpacked = _unpacked(convert(source, ModelFormat.OBJ, tmp_path, "box"))
    rows = [line.split()[1:] for line in unpacked.read_text().splitlines() if line[:2] == "v "]
    found = np.array(rows, float)[:, 3:]
    np.testing.assert_allclose(found, _encoded(PAINT), atol=1e-3)


def _encoded(linear: npt.NDArray[np.uint8]) -> Floats:
    values = linear / 255
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(
    ("mesh", "wanted"),
    [
        (painted(), 255 * _encoded(PAINT)),
        (plain((1, 0.2, 0, 1)), np.tile([255, 123.5, 0], (26, 1))),
    ],
    ids=["painted", "of one color"],
)
def test_ply_when_there_are_colors_has_them_at_the_vertices(
    tmp_path: Path, mesh: trimesh.Trimesh, wanted: Floats
) -> None:
    source = tmp_path / "source.glb"
    write_scene(source, mesh)
    assert _ply_colors(source, tmp_path) == pytest.approx(wanted, abs=1)


def test_ply_when_there_is_a_texture_has_its_color_at_each_vertex(tmp_path: Path) -> None:
    source = tmp_path / "source.glb"
    write_scene(source, textured())
    uv = _look(_opened(source).to_mesh()).uv
    pixels = np.asarray(noise(16, 8))
    across, up = np.floor(uv * (16, 8)).astype(int).T
    assert _ply_colors(source, tmp_path) == pytest.approx(pixels[7 - up, across], abs=1)


def test_ply_when_there_are_no_colors_has_none(tmp_path: Path) -> None:
    source = write_glb(tmp_path / "square.glb", _mesh(mode=5), _SQUARE)
    assert b"red" not in convert(source, ModelFormat.PLY, tmp_path, "square").read_bytes()


@pytest.mark.parametrize(
    ("mode", "ply", "mtl"), [("OPAQUE", None, 1), ("BLEND", 102, 0.4), ("MASK", 255, 1)]
)
def test_alpha_when_a_material_says_what_it_means_is_kept_as_that(
    tmp_path: Path, mode: str, ply: int | None, mtl: float
) -> None:
    look = {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 0.4]}, "alphaMode": mode}
    source = write_glb(
        tmp_path / "glass.glb",
        _mesh(mode=5, material=0) | {"materials": [look | {"alphaCutoff": 0.3}]},
        _SQUARE,
    )
    path = convert(source, ModelFormat.PLY, tmp_path, "glass")
    assert (b"uchar alpha" in path.read_bytes()) is (ply is not None)
    visual: Any = _opened(path).to_mesh().visual
    assert set(visual.vertex_colors[:, 3].tolist()) == {255 if ply is None else ply}
    unpacked = _unpacked(convert(source, ModelFormat.OBJ, tmp_path, "glass"))
    assert f"\nd {mtl:.4f}\n" in unpacked.with_suffix(".mtl").read_text()


def _ply_colors(source: Path, folder: Path) -> Floats:
    visual: Any = _opened(convert(source, ModelFormat.PLY, folder, "model")).to_mesh().visual
    return np.array(visual.vertex_colors[:, :3], float)


@pytest.mark.parametrize("model", _MODELS)
def test_usdz_when_validated_by_usd_has_no_mistakes(tmp_path: Path, model: str) -> None:
    source = tmp_path / "source.glb"
    _MODELS[model](source)
    package = Package(convert(source, ModelFormat.USDZ, tmp_path, "model"))
    assert package.mistakes() == []
    assert (package.up, package.unit_m) == ("Y", 1)
    assert {(start % 64, kind) for start, kind in package.entries().values()} == {(0, 0)}


def test_usdz_when_opened_has_the_looks_and_the_texture(tmp_path: Path) -> None:
    source = tmp_path / "source.glb"
    many_materials(source)
    path = convert(source, ModelFormat.USDZ, tmp_path, "model")
    package = Package(path)
    ball, red, box = package.meshes

    np.testing.assert_allclose(ball.of_vertices("st"), _look(_ball(source)).uv, atol=1e-6)
    assert ball.is_double_sided
    skin = ball.surface
    assert (skin.value("roughness"), skin.value("metallic")) == (0.5, 0)
    texture = skin.source("diffuseColor")
    assert texture.value("sourceColorSpace") == "sRGB"
    assert texture.source("st").value("varname") == "st"
    with zipfile.ZipFile(path) as archive:
        picture = Image.open(io.BytesIO(archive.read(texture.value("file").path)))
    assert np.array_equal(np.asarray(picture), np.asarray(noise(16, 8)))

    assert red.surface.value("diffuseColor") == pytest.approx((1, 0.2, 0.2), abs=1e-6)
    assert red.surface.value("metallic") == 1
    np.testing.assert_allclose(box.of_vertices("displayColor"), PAINT / 255, atol=1e-6)
    assert box.surface.source("diffuseColor").value("varname") == "displayColor"


def test_usdz_when_a_material_has_every_texture_reads_the_right_channels(tmp_path: Path) -> None:
    look = PBRMaterial(
        baseColorTexture=noise(4, 4),
        metallicRoughnessTexture=noise(4, 4),
        normalTexture=noise(4, 4),
        occlusionTexture=noise(4, 4),
        emissiveTexture=noise(4, 4),
        emissiveFactor=(1.0, 0.5, 0.25),
        alphaMode="MASK",
        alphaCutoff=0.25,
    )
    source = tmp_path / "source.glb"
    write_scene(source, textured(look=look))
    package = Package(convert(source, ModelFormat.USDZ, tmp_path, "model"))
    assert package.mistakes() == []
    surface = package.meshes[0].surface
    wanted = {
        "diffuseColor": "rgb",
        "opacity": "a",
        "roughness": "g",
        "metallic": "b",
        "occlusion": "r",
        "normal": "rgb",
    }
    assert {name: surface.channel(name) for name in wanted} == wanted
    assert surface.value("opacityThreshold") == 0.25
    assert surface.source("emissiveColor").value("scale") == (1, 0.5, 0.25, 1)


@pytest.mark.parametrize(("mode", "count"), [(4, 1), (5, 2), (6, 2)])
def test_triangles_when_in_a_list_a_strip_or_a_fan_all_face_one_way(
    tmp_path: Path, mode: int, count: int
) -> None:
    points = _SQUARE if mode == 5 else _SQUARE[[0, 1, 3, 2]]
    source = write_glb(tmp_path / "square.glb", _mesh(mode=mode), points)
    mesh = _opened(convert(source, ModelFormat.STL, tmp_path, "square")).to_mesh()
    np.testing.assert_allclose(mesh.face_normals, [[0, -1, 0]] * count, atol=1e-6)


def test_texture_places_when_normalized_and_moved_are_where_they_are_seen(tmp_path: Path) -> None:
    places = np.array([[0, 0], [65535, 0], [0, 65535], [65535, 65535]], np.uint16)
    moved = {"offset": [0.5, 0.25], "scale": [0.5, 2], "rotation": np.pi / 2}
    base = {"index": 0, "extensions": {"KHR_texture_transform": moved}}
    square = _mesh(attributes={"POSITION": 0, "TEXCOORD_0": 1}, mode=5, material=0)
    picture = io.BytesIO()
    noise(4, 4).save(picture, "PNG")
    data = np.frombuffer(picture.getvalue(), np.uint8)
    source = write_glb(
        tmp_path / "square.glb",
        square
        | {
            "accessors": {1: {"normalized": True}},
            "materials": [{"pbrMetallicRoughness": {"baseColorTexture": base}}],
            "textures": [{"source": 0, "sampler": 0}],
            "samplers": [{"wrapS": 33071, "wrapT": 33648}],
            "images": [{"bufferView": 2, "mimeType": "image/png"}],
            "extensionsUsed": ["KHR_texture_transform"],
            "extensionsRequired": ["KHR_texture_transform"],
        },
        _SQUARE,
        places,
        data,
    )
    path = convert(source, ModelFormat.USDZ, tmp_path, "square")
    package = Package(path)
    (mesh,) = package.meshes
    # A quarter turn counterclockwise, as three.js has it: what lies to the right comes up.
    wanted = [[0.5, 0.75], [0.5, 1.25], [2.5, 0.75], [2.5, 1.25]]
    np.testing.assert_allclose(mesh.of_vertices("st"), wanted, atol=1e-6)
    texture = mesh.surface.source("diffuseColor")
    assert (texture.value("wrapS"), texture.value("wrapT")) == ("clamp", "mirror")
    with zipfile.ZipFile(path) as archive:
        assert archive.read("textures/1.png") == picture.getvalue()


def test_model_when_it_hangs_on_a_skeleton_stands_as_that_does(tmp_path: Path) -> None:
    joints = np.zeros((4, 4), np.uint8)
    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (4, 1))
    bound = np.eye(4, dtype=np.float32)
    bound[3, :3] = (0, -1, 0)  # stored by columns: moves down by one
    source = write_glb(
        tmp_path / "hung.glb",
        _mesh(attributes={"POSITION": 0, "JOINTS_0": 1, "WEIGHTS_0": 2}, mode=5)
        | {
            "nodes": [
                {"mesh": 0, "skin": 0, "translation": [100, 0, 0]},
                {"translation": [0, 3, 0]},
            ],
            "skins": [{"joints": [1], "inverseBindMatrices": 3}],
        },
        _SQUARE,
        joints,
        weights,
        bound[None],
    )
    path = convert(source, ModelFormat.USDZ, tmp_path, "hung")
    package = Package(path)
    (mesh,) = package.meshes
    np.testing.assert_allclose(mesh.points, _SQUARE + np.array([0, 2, 0]), atol=1e-6)


def test_vertices_when_shared_by_many_meshes_stand_only_where_they_are_used(
    tmp_path: Path,
) -> None:
    indices = np.array([1, 3, 2], np.uint16)
    source = write_glb(tmp_path / "shared.glb", _mesh(indices=1), _SQUARE, indices)
    path = convert(source, ModelFormat.USDZ, tmp_path, "shared")
    package = Package(path)
    (mesh,) = package.meshes
    np.testing.assert_array_equal(mesh.triangles, _SQUARE[None, [1, 3, 2]])
    assert len(mesh.points) == 3


def test_points_when_few_of_them_differ_from_others_are_read_as_they_are(tmp_path: Path) -> None:
    some = {"count": 1, "indices": {"bufferView": 1, "componentType": 5123}}
    sparse = {"sparse": some | {"values": {"bufferView": 2}}}
    source = write_glb(
        tmp_path / "sparse.glb",
        _mesh(mode=5) | {"accessors": {0: sparse}},
        _SQUARE,
        np.array([3], np.uint16),
        np.array([[5, 6, 7]], np.float32),
    )
    path = convert(source, ModelFormat.USDZ, tmp_path, "sparse")
    package = Package(path)
    (mesh,) = package.meshes
    np.testing.assert_array_equal(mesh.points, [*_SQUARE[:3], (5, 6, 7)])


def test_texture_when_it_is_webp_becomes_png(tmp_path: Path) -> None:
    picture = io.BytesIO()
    noise(6, 4).save(picture, "WEBP", lossless=True)
    source = write_glb(
        tmp_path / "webp.glb",
        _mesh(attributes={"POSITION": 0, "TEXCOORD_0": 1}, mode=5, material=0)
        | {
            "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
            "textures": [{"extensions": {"EXT_texture_webp": {"source": 0}}}],
            "images": [{"bufferView": 2, "mimeType": "image/webp"}],
            "extensionsRequired": ["EXT_texture_webp"],
        },
        _SQUARE,
        _SQUARE[:, :2].copy(),
        np.frombuffer(picture.getvalue(), np.uint8),
    )
    unpacked = _unpacked(convert(source, ModelFormat.OBJ, tmp_path, "model"))
    found = Image.open(unpacked.with_suffix(".png"))
    assert np.array_equal(np.asarray(found), np.asarray(noise(6, 4)))


def test_material_when_told_by_its_gloss_has_the_same_color(tmp_path: Path) -> None:
    name = "KHR_materials_pbrSpecularGlossiness"
    gloss = {"diffuseFactor": [0.2, 0.4, 0.6, 1], "glossinessFactor": 0.75}
    source = write_glb(
        tmp_path / "glossy.glb",
        _mesh(mode=5, material=0)
        | {"materials": [{"extensions": {name: gloss}}], "extensionsRequired": [name]},
        _SQUARE,
    )
    package = Package(convert(source, ModelFormat.USDZ, tmp_path, "glossy"))
    surface = package.meshes[0].surface
    assert surface.value("diffuseColor") == pytest.approx((0.2, 0.4, 0.6))
    assert (surface.value("metallic"), surface.value("roughness")) == (0, 0.25)


@pytest.mark.parametrize(
    ("description", "error", "says"),
    [
        (
            {"extensionsRequired": ["KHR_draco_mesh_compression"]},
            MediaUnsupported,
            "KHR_draco_mesh_compression",
        ),
        (_mesh(mode=0), MediaUnsupported, "no surface"),
        ({"nodes": [{"children": [0]}], "scenes": [{"nodes": [0]}]}, MediaTruncated, "no tree"),
        (_mesh(indices=1), MediaTruncated, "vertices that it does not have"),
        (_mesh(attributes={"POSITION": 9}), MediaTruncated, "does not fit"),
        (
            {"accessors": {0: {"count": 400}}, **_mesh()},
            MediaTruncated,
            "does not fit",
        ),
        (
            {"nodes": [{"mesh": 0}] * 20_000, **_mesh()},
            MediaUnsupported,
            "too many",
        ),
    ],
)
def test_model_when_it_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, description: dict[str, Any], error: type[Exception], says: str
) -> None:
    source = write_glb(
        tmp_path / "bad.glb", description, _SQUARE[:3], np.array([0, 1, 3], np.uint16)
    )
    with pytest.raises(error, match=says):
        convert(source, ModelFormat.STL, tmp_path, "bad")


@pytest.fixture
async def pool(anyio_backend: str) -> AsyncIterator[CpuPool]:
    pool = CpuPool(1)
    yield pool
    pool.close()


async def test_conversion_when_run_in_a_child_hands_back_its_file(
    tmp_path: Path, pool: CpuPool
) -> None:
    source = tmp_path / "source.glb"
    _inflated(source)
    made = await pool.run(
        convert,
        source,
        ModelFormat.USDZ,
        tmp_path,
        "star",
        reads=[tmp_path],
        writes=[tmp_path],
        limits=_LIMITS,
    )
    assert made == tmp_path / "star.usdz"
    assert ModelFormat.USDZ.media_type == "model/vnd.usdz+zip"
    with pytest.raises(MediaUnsupported):
        await pool.run(
            convert,
            made,
            ModelFormat.OBJ,
            tmp_path,
            "star",
            reads=[tmp_path],
            writes=[tmp_path],
            limits=_LIMITS,
        )
