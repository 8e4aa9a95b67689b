"""A picture becomes a model that stands upright, faces forward and has the size asked for."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pyvips

from safelight.providers.errors import NoForeground
from safelight.providers.local.inflate.make import make_model
from safelight.providers.local.inflate.order import Order, Params
from safelight.providers.local.inflate.picture import SourcePicture
from safelight.providers.local.inflate.sculpt import Sculpture, make_sculpture

_QUICK = Params(face_limit=3000, texture_size=256)
# Upper left, upper right, lower left, lower right.
_RED, _GREEN, _BLUE, _YELLOW = (220, 30, 30), (30, 200, 40), (30, 40, 210), (230, 220, 40)


def _cross() -> np.ndarray:
    """A wide rectangle of four colors on nothing, with a notch in its top."""
    pixels = np.zeros((200, 300, 4), np.uint8)
    pixels[50:100, 40:150] = (*_RED, 255)
    pixels[50:100, 150:260] = (*_GREEN, 255)
    pixels[100:150, 40:150] = (*_BLUE, 255)
    pixels[100:150, 150:260] = (*_YELLOW, 255)
    pixels[50:70, 140:160] = 0
    return pixels


def _picture(pixels: np.ndarray) -> SourcePicture:
    return SourcePicture(pyvips.Image.new_from_array(pixels))


def _order(tmp_path: Path, pixels: np.ndarray, params: Params, name: str = "model") -> Order:
    path = tmp_path / "picture.png"
    pyvips.Image.new_from_array(pixels).pngsave(str(path))
    return Order(path, params, tmp_path / f"{name}.glb")


def _color_at(made: Sculpture, x: float, y: float, front: bool) -> np.ndarray:
    """The texture's color at the vertex nearest to a place on the front or the back."""
    mesh = made.mesh
    side = mesh.vertices[:, 2] > 0 if front else mesh.vertices[:, 2] < 0
    off = np.hypot(mesh.vertices[:, 0] - x, mesh.vertices[:, 1] - y)
    u, v = mesh.texture_places[np.where(side, off, np.inf).argmin()]
    rows, columns = made.texture.pixels.shape[:2]
    return made.texture.pixels[int(v * (rows - 1)), int(u * (columns - 1))]


@pytest.mark.parametrize("mode", ["inflate", "relief"])
@pytest.mark.parametrize("front", [True, False])
@pytest.mark.parametrize(
    ("x", "y", "color"),
    [(-0.3, 0.1, _RED), (0.3, 0.1, _GREEN), (-0.3, -0.1, _BLUE), (0.3, -0.1, _YELLOW)],
)
def test_model_when_made_shows_the_picture_upright_towards_z(
    mode: str, front: bool, x: float, y: float, color: tuple[int, int, int]
) -> None:
    params = replace(_QUICK, mode="relief" if mode == "relief" else "inflate")
    made = make_sculpture(_picture(_cross()), params)
    np.testing.assert_allclose(_color_at(made, x, y, front), color, atol=3)


def test_model_when_made_has_its_notch_at_the_top() -> None:
    mesh = make_sculpture(_picture(_cross()), _QUICK).mesh
    middle = mesh.vertices[abs(mesh.vertices[:, 0]) < 0.02]
    assert middle[:, 1].max() < mesh.vertices[:, 1].max() - 0.05
    assert middle[:, 1].min() == pytest.approx(mesh.vertices[:, 1].min(), abs=0.01)


def test_model_when_made_has_normals_that_point_outward() -> None:
    mesh = make_sculpture(_picture(_cross()), _QUICK).mesh
    front = mesh.vertices[:, 2] > 0.05
    assert (mesh.normals[front, 2] > 0).mean() > 0.99
    right = mesh.vertices[:, 0] > mesh.vertices[:, 0].max() - 0.005
    assert (mesh.normals[right, 0] > 0.7).all()


@pytest.mark.parametrize("mode", ["inflate", "relief"])
@pytest.mark.parametrize("size_m", [0.01, 1, 25])
def test_model_when_a_size_is_asked_for_has_it_as_its_largest_side(
    size_m: float, mode: str
) -> None:
    params = replace(_QUICK, size_m=size_m, mode="relief" if mode == "relief" else "inflate")
    mesh = make_sculpture(_picture(_cross()), params).mesh
    assert max(mesh.size) == pytest.approx(size_m, rel=1e-5)
    assert mesh.size[1] / mesh.size[0] == pytest.approx(100 / 220, rel=0.03)
    middle = (mesh.vertices.max(axis=0) + mesh.vertices.min(axis=0)) / 2
    np.testing.assert_allclose(middle, 0, atol=1e-5 * size_m)


def test_model_when_thicker_is_deeper_and_else_the_same() -> None:
    thin, thick = (
        make_sculpture(_picture(_cross()), replace(_QUICK, thickness=t)).mesh.size
        for t in (0.4, 0.8)
    )
    assert thick[2] == pytest.approx(2 * thin[2], rel=1e-4)
    assert thick[:2] == pytest.approx(thin[:2], rel=1e-4)


def test_relief_when_a_part_is_brighter_raises_it() -> None:
    pixels = np.full((100, 100, 3), 60, np.uint8)
    pixels[40:60, 10:40] = 230
    mesh = make_sculpture(
        _picture(np.dstack([pixels, np.full((100, 100), 255, np.uint8)])),
        replace(_QUICK, mode="relief"),
    ).mesh
    x, y, z = mesh.vertices.T
    bright = z[(abs(x + 0.25) < 0.05) & (abs(y) < 0.05)].max()
    dark = z[(abs(x - 0.25) < 0.05) & (abs(y) < 0.05)].max()
    assert bright > dark + 0.05


@pytest.mark.parametrize("mode", ["inflate", "relief"])
def test_model_when_the_picture_is_of_one_color_is_refused(mode: str) -> None:
    params = replace(_QUICK, mode="relief" if mode == "relief" else "inflate")
    with pytest.raises(NoForeground):
        make_sculpture(_picture(np.full((60, 60, 4), 255, np.uint8)), params)


@pytest.mark.parametrize("limit", [500, 700, 5000])
@pytest.mark.parametrize("mode", ["inflate", "relief"])
def test_facts_when_triangles_are_limited_keep_to_it(tmp_path: Path, mode: str, limit: int) -> None:
    params = replace(_QUICK, face_limit=limit, mode="relief" if mode == "relief" else "inflate")
    facts = make_model(_order(tmp_path, _cross(), params))
    triangles = facts.pop("triangles")
    assert isinstance(triangles, int)
    assert limit / 2 < triangles <= limit
    vertices, box = facts.pop("vertices"), facts.pop("bounding_box_m")
    assert isinstance(vertices, int)
    assert isinstance(box, list)
    assert box[0] == pytest.approx(1)
    assert facts == {
        "watertight": True,
        "mask": "alpha",
        "mode": mode,
        "note": "inflated from one picture, no AI model",
    }


@pytest.mark.parametrize("mode", ["inflate", "relief"])
def test_model_when_made_twice_is_the_same_byte_for_byte(tmp_path: Path, mode: str) -> None:
    params = replace(_QUICK, mode="relief" if mode == "relief" else "inflate")
    orders = [_order(tmp_path, _cross(), params, name) for name in ("one", "two")]
    for order in orders:
        make_model(order)
    one, two = orders
    assert one.model.read_bytes() == two.model.read_bytes()


@pytest.mark.parametrize("texture", [True, False])
def test_file_when_written_holds_a_texture_only_if_asked(tmp_path: Path, texture: bool) -> None:
    order = _order(tmp_path, _cross(), replace(_QUICK, texture=texture))
    make_model(order)
    data = order.model.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + length])
    surface = document["materials"][0]["pbrMetallicRoughness"]
    assert ("images" in document, "baseColorTexture" in surface) == (texture, texture)
    assert ("baseColorFactor" in surface) is not texture
    assert document["asset"] == {"version": "2.0", "generator": "Safelight inflate"}


def test_texture_when_the_picture_is_large_is_no_larger_than_asked() -> None:
    pixels = np.kron(_cross(), np.ones((4, 4, 1), np.uint8))
    texture = make_sculpture(_picture(pixels), _QUICK).texture
    assert max(texture.pixels.shape) == 256


def test_texture_when_the_background_has_a_color_does_not_show_it() -> None:
    pixels = np.full((200, 200, 4), 255, np.uint8)
    pixels[..., :3] = (40, 250, 40)
    pixels[60:140, 60:140, :3] = (200, 30, 60)
    texture = make_sculpture(_picture(pixels), _QUICK).texture
    np.testing.assert_allclose(texture.pixels.reshape(-1, 3).max(axis=0), (200, 30, 60), atol=2)


@pytest.mark.parametrize(("mask", "quality"), [("grabcut", "low"), ("alpha", None)])
def test_model_when_its_mask_is_a_guess_says_that_it_is_poor_and_what_is_better(
    mask: str, quality: str | None, tmp_path: Path
) -> None:
    facts = make_model(_order(tmp_path, _cross(), replace(_QUICK, mask=mask)))
    assert (facts["mask"], facts.get("quality")) == (mask, quality)
    assert ("SAFELIGHT_INFLATE_SALIENCY_MODEL" in str(facts.get("next_step"))) is bool(quality)
