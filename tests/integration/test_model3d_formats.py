"""What a GLB is converted to says the same to those who read it: trimesh and Pixar's own USD."""

import io
import json
import struct
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
from pxr import Sdf, Usd, UsdGeom, UsdShade, UsdValidation
from scipy.spatial import KDTree
from trimesh.visual.material import PBRMaterial
from trimesh.visual.texture import TextureVisuals

from safelight.assets.model3d.convert import ModelFormat, convert
from safelight.cpu import CpuPool, Limits
from safelight.errors import MediaTruncated, MediaUnsupported
from safelight.providers.inflate.make import make_model
from safelight.providers.inflate.order import Order, Params

Floats = npt.NDArray[np.floating[Any]]

_CLOSE = 1e-5  # of the model's size
_LIMITS = Limits(cpu_s=20, memory_bytes=2**30, wall_s=60)


# --- models ----------------------------------------------------------------------------------


def _noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def _textured(size: tuple[int, int] = (16, 8)) -> trimesh.Trimesh:
    """A ball whose texture places lie in the middle of the texture's pixels."""
    mesh = trimesh.creation.icosphere(subdivisions=2)
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, size, (len(mesh.vertices), 2))
    look = PBRMaterial(
        name="my skin",
        baseColorTexture=_noise(*size),
        metallicFactor=0.0,
        roughnessFactor=0.5,
        doubleSided=True,
    )
    mesh.visual = TextureVisuals(uv=(pixels + 0.5) / size, material=look)
    return mesh


def _plain(color: tuple[float, float, float, float]) -> trimesh.Trimesh:
    mesh = trimesh.creation.cylinder(radius=0.3, height=1.2, sections=12)
    look = PBRMaterial(baseColorFactor=color, metallicFactor=1.0, roughnessFactor=0.25)
    mesh.visual = TextureVisuals(material=look)
    return mesh


def _painted() -> trimesh.Trimesh:
    colors = np.random.default_rng(5).integers(0, 256, (8, 4), np.uint8)
    colors[:, 3] = 255
    return trimesh.Trimesh(
        trimesh.creation.box().vertices,
        trimesh.creation.box().faces,
        vertex_colors=colors,
        process=False,
    )


def _place(x: float, y: float, z: float, *scale: float) -> Floats:
    turn = trimesh.transformations.rotation_matrix(0.7, (1, 2, 3))
    turn[:3, 3] = (x, y, z)
    return turn @ np.diag([*(scale or (1, 1, 1)), 1])


def _many_materials(path: Path) -> None:
    scene = trimesh.Scene()
    scene.add_geometry(_textured(), geom_name="ball")
    scene.add_geometry(_plain((1, 0.2, 0.2, 1)), geom_name="red", transform=_place(3, 0, 0))
    scene.add_geometry(_painted(), geom_name="box", transform=_place(0, 3, 1))
    path.write_bytes(scene.export(file_type="glb"))


def _mirrored_instances(path: Path) -> None:
    scene = trimesh.Scene()
    places = [_place(0, 0, 0), _place(4, 0, 0, -1, 1, 1), _place(0, 5, 0, 2, -0.5, 1)]
    for number, place in enumerate(places):
        scene.add_geometry(_textured(), f"ball {number}", geom_name="ball", transform=place)
    path.write_bytes(scene.export(file_type="glb"))


def _inflated(path: Path) -> None:
    down, across = np.mgrid[:200, :200] / 100 - 1
    inside = np.hypot(down, across) < 0.6 + 0.2 * np.cos(5 * np.arctan2(down, across))
    colors = [255 * inside, 100 + 80 * across, 150 - 70 * down, 255 * inside]
    picture = path.with_suffix(".png")
    image = pyvips.Image.new_from_array(np.stack(colors, axis=-1).astype(np.uint8))
    image.pngsave(str(picture))
    make_model(Order(picture, "image/png", Params(face_limit=2000), path, path.parent / "p.png"))


_MODELS: dict[str, Callable[[Path], None]] = {
    "many materials": _many_materials,
    "mirrored instances": _mirrored_instances,
    "inflated": _inflated,
}


def _glb(path: Path, description: dict[str, Any], *arrays: npt.NDArray[Any]) -> Path:
    """Write a GLB of one buffer view and one accessor for each array, by hand.

    What stands in `accessors` of the description completes those that are made, by their index.
    """
    kinds = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
    shapes = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
    data, views, accessors = b"", [], []
    for index, array in enumerate(arrays):
        content = array.tobytes()
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": len(content)})
        made = {
            "bufferView": index,
            "componentType": kinds[array.dtype.str[1:]],
            "count": len(array),
            "type": shapes[array.shape[1:]],
        }
        accessors.append(made | description.get("accessors", {}).get(index, {}))
        data += content + bytes(-len(content) % 4)
    document = {
        "asset": {"version": "2.0"},
        "nodes": [{"mesh": 0}],
        **description,
        "buffers": [{"byteLength": len(data)}],
        "bufferViews": views,
        "accessors": accessors,
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(data), b"BIN\0") + data
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
    return path


_SQUARE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float32)


def _mesh(**primitive: Any) -> dict[str, Any]:
    return {"meshes": [{"primitives": [{"attributes": {"POSITION": 0}, **primitive}]}]}


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


def _upright(triangles: Floats) -> Floats:
    """Turn what has z up to have y up."""
    x, y, z = np.moveaxis(triangles, -1, 0)
    return np.stack([x, z, -y], axis=-1)


def _triangles_of(path: Path, form: ModelFormat) -> Floats:
    match form:
        case ModelFormat.OBJ:
            return _opened(_unpacked(path)).to_mesh().triangles
        case ModelFormat.USDZ:
            meshes = _meshes(Usd.Stage.Open(str(path)))
            return np.concatenate([_points(mesh)[_faces(mesh)] for mesh in meshes])
        case _:
            return _upright(_opened(path).to_mesh().triangles)


def _meshes(stage: Usd.Stage) -> list[UsdGeom.Mesh]:
    return [UsdGeom.Mesh(prim) for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]


def _points(mesh: UsdGeom.Mesh) -> Floats:
    return np.array(mesh.GetPointsAttr().Get())


def _faces(mesh: UsdGeom.Mesh) -> npt.NDArray[np.int64]:
    assert set(mesh.GetFaceVertexCountsAttr().Get()) == {3}
    return np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3)


def _primvar(mesh: UsdGeom.Mesh, name: str) -> Floats:
    primvar = UsdGeom.PrimvarsAPI(mesh).GetPrimvar(name)
    assert primvar.GetInterpolation() == "vertex"
    return np.array(primvar.Get())


def _surface(mesh: UsdGeom.Mesh) -> UsdShade.Shader:
    material, _ = UsdShade.MaterialBindingAPI(mesh).ComputeBoundMaterial()
    return material.ComputeSurfaceSource()[0]


def _source(shader: UsdShade.Shader, name: str) -> UsdShade.Shader:
    (connected,), _ = shader.GetInput(name).GetConnectedSources()
    return UsdShade.Shader(connected.source.GetPrim())


def _assert_same_triangles(found: Floats, wanted: Floats) -> None:
    """Whatever order they come in, and whichever corner comes first, but not turned over."""
    assert len(found) == len(wanted)
    size = float(np.ptp(wanted.reshape(-1, 3), axis=0).max())
    turns = [np.roll(wanted, turn, axis=1).reshape(-1, 9) for turn in range(3)]
    distance, nearest = KDTree(np.concatenate(turns)).query(found.reshape(-1, 9))
    assert distance.max() < _CLOSE * size
    assert len(set((nearest % len(wanted)).tolist())) == len(wanted)


def _is_watertight(triangles: Floats) -> bool:
    mesh = trimesh.Trimesh(**trimesh.triangles.to_kwargs(triangles))
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
    _many_materials(source)
    again = tmp_path / "again"
    again.mkdir()
    first = convert(source, form, tmp_path, "model").read_bytes()
    assert convert(source, form, again, "model").read_bytes() == first


def test_obj_when_unpacked_has_the_texture_its_places_and_the_materials(tmp_path: Path) -> None:
    source = tmp_path / "source.glb"
    _many_materials(source)
    unpacked = _unpacked(convert(source, ModelFormat.OBJ, tmp_path, "Élan vital/9"))
    names = sorted(path.name for path in unpacked.parent.iterdir())
    assert names == ["Élan-vital-9.mtl", "Élan-vital-9.obj", "Élan-vital-9.png"]
    scene = _opened(unpacked)
    ball = next(mesh for mesh in scene.geometry.values() if len(mesh.faces) == 320)
    given = _opened(source).geometry["ball"]
    assert isinstance(ball, trimesh.Trimesh)
    assert isinstance(ball.visual, TextureVisuals)
    assert np.array_equal(np.asarray(ball.visual.material.image), np.asarray(_noise(16, 8)))
    # Which vertex is which, the reader may decide: each triangle must find its texture places.
    np.testing.assert_allclose(ball.visual.uv[ball.faces], given.visual.uv[given.faces], atol=1e-6)
    mtl = unpacked.with_suffix(".mtl").read_text()
    assert mtl.count("newmtl") == 3
    assert "newmtl my-skin\nKd 1.0000 1.0000 1.0000\n" in mtl
    # 51/255 and the like: trimesh keeps factors in 8 bits; sRGB of 0.2 is 0.4845.
    assert "Kd 1.0000 0.4845 0.4845" in mtl


def test_obj_when_vertices_have_colors_has_them_in_srgb(tmp_path: Path) -> None:
    source = tmp_path / "source.glb"
    source.write_bytes(trimesh.Scene(_painted()).export(file_type="glb"))
    unpacked = _unpacked(convert(source, ModelFormat.OBJ, tmp_path, "box"))
    rows = [line.split()[1:] for line in unpacked.read_text().splitlines() if line[:2] == "v "]
    found = np.array(rows, float)[:, 3:]
    np.testing.assert_allclose(found, _encoded(_painted().visual.vertex_colors[:, :3]), atol=1e-3)


def _encoded(linear: npt.NDArray[np.uint8]) -> Floats:
    values = linear / 255
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(
    ("mesh", "wanted"),
    [
        (_painted(), 255 * _encoded(_painted().visual.vertex_colors[:, :3])),
        (_plain((1, 0.2, 0, 1)), np.tile([255, 123.5, 0], (26, 1))),
    ],
    ids=["painted", "of one color"],
)
def test_ply_when_there_are_colors_has_them_at_the_vertices(
    tmp_path: Path, mesh: trimesh.Trimesh, wanted: Floats
) -> None:
    source = tmp_path / "source.glb"
    source.write_bytes(trimesh.Scene(mesh).export(file_type="glb"))
    assert _ply_colors(source, tmp_path) == pytest.approx(wanted, abs=1)


def test_ply_when_there_is_a_texture_has_its_color_at_each_vertex(tmp_path: Path) -> None:
    source = tmp_path / "source.glb"
    source.write_bytes(trimesh.Scene(_textured()).export(file_type="glb"))
    given = _opened(source).to_mesh()
    assert isinstance(given.visual, TextureVisuals)
    pixels = np.asarray(_noise(16, 8))
    across, up = np.floor(np.array(given.visual.uv) * (16, 8)).astype(int).T
    assert _ply_colors(source, tmp_path) == pytest.approx(pixels[7 - up, across], abs=1)


def test_ply_when_there_are_no_colors_has_none(tmp_path: Path) -> None:
    source = _glb(tmp_path / "square.glb", _mesh(mode=5), _SQUARE)
    assert b"red" not in convert(source, ModelFormat.PLY, tmp_path, "square").read_bytes()


def _ply_colors(source: Path, folder: Path) -> Floats:
    mesh = _opened(convert(source, ModelFormat.PLY, folder, "model")).to_mesh()
    return np.array(mesh.visual.vertex_colors[:, :3], float)


@pytest.mark.parametrize("model", _MODELS)
def test_usdz_when_validated_by_usd_has_no_errors(tmp_path: Path, model: str) -> None:
    source = tmp_path / "source.glb"
    _MODELS[model](source)
    path = convert(source, ModelFormat.USDZ, tmp_path, "model")
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 20
    found = UsdValidation.ValidationContext(validators).Validate(stage)
    assert [error.GetMessage() for error in found] == []
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    package = Sdf.ZipFile.Open(str(path))
    for name in package.GetFileNames():
        entry = package.GetFileInfo(name)
        assert (entry.dataOffset % 64, entry.compressionMethod) == (0, 0)


def test_usdz_when_opened_has_the_looks_and_the_texture(tmp_path: Path) -> None:
    source = tmp_path / "source.glb"
    _many_materials(source)
    path = convert(source, ModelFormat.USDZ, tmp_path, "model")
    ball, red, box = _meshes(Usd.Stage.Open(str(path)))

    given = _opened(source).geometry["ball"]
    np.testing.assert_allclose(_primvar(ball, "st"), given.visual.uv, atol=1e-6)
    assert ball.GetDoubleSidedAttr().Get() is True
    skin = _surface(ball)
    assert skin.GetInput("roughness").Get() == pytest.approx(0.5)
    assert skin.GetInput("metallic").Get() == 0
    texture = _source(skin, "diffuseColor")
    assert texture.GetInput("sourceColorSpace").Get() == "sRGB"
    assert _source(texture, "st").GetInput("varname").Get() == "st"
    inside = texture.GetInput("file").Get().path
    with zipfile.ZipFile(path) as package:
        picture = Image.open(io.BytesIO(package.read(inside)))
    assert np.array_equal(np.asarray(picture), np.asarray(_noise(16, 8)))

    assert _surface(red).GetInput("diffuseColor").Get() == pytest.approx((1, 0.2, 0.2), abs=1e-6)
    assert _surface(red).GetInput("metallic").Get() == 1
    colors = _painted().visual.vertex_colors[:, :3] / 255
    np.testing.assert_allclose(_primvar(box, "displayColor"), colors, atol=1e-6)
    reader = _source(_surface(box), "diffuseColor")
    assert reader.GetInput("varname").Get() == "displayColor"


def test_usdz_when_a_material_has_every_texture_reads_the_right_channels(tmp_path: Path) -> None:
    mesh = _textured()
    mesh.visual.material = PBRMaterial(
        baseColorTexture=_noise(4, 4),
        metallicRoughnessTexture=_noise(4, 4),
        normalTexture=_noise(4, 4),
        occlusionTexture=_noise(4, 4),
        emissiveTexture=_noise(4, 4),
        emissiveFactor=(1.0, 0.5, 0.25),
        alphaMode="MASK",
        alphaCutoff=0.25,
    )
    source = tmp_path / "source.glb"
    source.write_bytes(trimesh.Scene(mesh).export(file_type="glb"))
    path = convert(source, ModelFormat.USDZ, tmp_path, "model")
    stage = Usd.Stage.Open(str(path))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    found = UsdValidation.ValidationContext(validators).Validate(stage)
    assert [error.GetMessage() for error in found] == []
    surface = _surface(_meshes(stage)[0])
    channels = {
        name: surface.GetInput(name).GetConnectedSources()[0][0].sourceName
        for name in ("diffuseColor", "opacity", "roughness", "metallic", "occlusion", "normal")
    }
    assert channels == {
        "diffuseColor": "rgb",
        "opacity": "a",
        "roughness": "g",
        "metallic": "b",
        "occlusion": "r",
        "normal": "rgb",
    }
    assert surface.GetInput("opacityThreshold").Get() == 0.25
    assert _source(surface, "emissiveColor").GetInput("scale").Get() == (1, 0.5, 0.25, 1)


@pytest.mark.parametrize(("mode", "count"), [(4, 1), (5, 2), (6, 2)])
def test_triangles_when_in_a_list_a_strip_or_a_fan_all_face_one_way(
    tmp_path: Path, mode: int, count: int
) -> None:
    points = _SQUARE if mode == 5 else _SQUARE[[0, 1, 3, 2]]
    source = _glb(tmp_path / "square.glb", _mesh(mode=mode), points)
    mesh = _opened(convert(source, ModelFormat.STL, tmp_path, "square")).to_mesh()
    np.testing.assert_allclose(mesh.face_normals, [[0, -1, 0]] * count, atol=1e-6)


def test_texture_places_when_normalized_and_moved_are_where_they_are_seen(tmp_path: Path) -> None:
    places = np.array([[0, 0], [65535, 0], [0, 65535], [65535, 65535]], np.uint16)
    moved = {"KHR_texture_transform": {"offset": [0.5, 0.25], "scale": [0.5, 2], "rotation": 0}}
    square = _mesh(attributes={"POSITION": 0, "TEXCOORD_0": 1}, mode=5, material=0)
    picture = io.BytesIO()
    _noise(4, 4).save(picture, "PNG")
    data = np.frombuffer(picture.getvalue(), np.uint8)
    source = _glb(
        tmp_path / "square.glb",
        square
        | {
            "accessors": {1: {"normalized": True}},
            "materials": [
                {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, "extensions": moved}}}
            ],
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
    (mesh,) = _meshes(Usd.Stage.Open(str(path)))
    wanted = [[0.5, 0.75], [1, 0.75], [0.5, -1.25], [1, -1.25]]
    np.testing.assert_allclose(_primvar(mesh, "st"), wanted, atol=1e-6)
    texture = _source(_surface(mesh), "diffuseColor")
    assert texture.GetInput("wrapS").Get() == "clamp"
    assert texture.GetInput("wrapT").Get() == "mirror"
    with zipfile.ZipFile(path) as package:
        assert package.read("textures/1.png") == picture.getvalue()


def test_model_when_it_hangs_on_a_skeleton_stands_as_that_does(tmp_path: Path) -> None:
    joints = np.zeros((4, 4), np.uint8)
    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (4, 1))
    bound = np.eye(4, dtype=np.float32)
    bound[3, :3] = (0, -1, 0)  # stored by columns: moves down by one
    source = _glb(
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
    (mesh,) = _meshes(Usd.Stage.Open(str(path)))
    np.testing.assert_allclose(_points(mesh), _SQUARE + (0, 2, 0), atol=1e-6)


def test_vertices_when_shared_by_many_meshes_stand_only_where_they_are_used(
    tmp_path: Path,
) -> None:
    indices = np.array([1, 3, 2], np.uint16)
    source = _glb(tmp_path / "shared.glb", _mesh(indices=1), _SQUARE, indices)
    path = convert(source, ModelFormat.USDZ, tmp_path, "shared")
    (mesh,) = _meshes(Usd.Stage.Open(str(path)))
    np.testing.assert_array_equal(_points(mesh)[_faces(mesh)[0]], _SQUARE[[1, 3, 2]])
    assert len(_points(mesh)) == 3


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
    source = _glb(tmp_path / "bad.glb", description, _SQUARE[:3], np.array([0, 1, 3], np.uint16))
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
    made = await pool.run(convert, source, ModelFormat.USDZ, tmp_path, "star", limits=_LIMITS)
    assert made == tmp_path / "star.usdz"
    assert ModelFormat.USDZ.media_type == "model/vnd.usdz+zip"
    with pytest.raises(MediaTruncated):
        await pool.run(convert, made, ModelFormat.OBJ, tmp_path, "star", limits=_LIMITS)
