"""A picture of a model shows what stands there: right way round, in its colors, with a shadow."""

import numpy as np
import numpy.typing as npt
import pytest
import pyvips

from safelight.media.models.draw.raster import Raster, covered
from safelight.media.models.draw.render import Renderer
from safelight.media.models.draw.stage import make_stage, pictures_of
from safelight.media.models.draw.textures import load_textures
from safelight.media.models.formats.scene import (
    Material,
    Opacity,
    Part,
    Scene,
    Texture,
    TextureImage,
    Wrap,
)

_SIZE = 96
_RED, _GREEN, _BLUE, _YELLOW = (220, 20, 20), (20, 200, 20), (20, 20, 220), (220, 200, 20)
_FOUR = np.kron(
    np.array([[_RED, _GREEN], [_BLUE, _YELLOW]], np.uint8), np.ones((32, 32, 1), np.uint8)
)

_CORNERS = np.array(
    [[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)], np.float32
)
_SIDES = [(1, 5, 7, 3), (4, 0, 2, 6), (5, 4, 6, 7), (0, 1, 3, 2), (3, 7, 6, 2), (0, 4, 5, 1)]
"""Of a cube: front, back, right, left, top, bottom, each from its lower left corner round."""


def _side(side: int, material: Material, scale: float = 1.0) -> Part:
    """A square: one side of a cube, with its texture upright as seen from outside."""
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    points = _CORNERS[list(_SIDES[side])] * np.float32(scale)
    return Part("side", points, np.array([[0, 1, 2], [0, 2, 3]]), material, uv=uv)


def _cube(*materials: Material, scale: float = 1.0) -> Scene:
    return Scene(
        tuple(_side(each, materials[each % len(materials)], scale) for each in range(len(_SIDES)))
    )


def _textured(
    pixels: npt.NDArray[np.uint8] = _FOUR, wrap: Wrap = Wrap.REPEAT, **more: object
) -> Material:
    data = pyvips.Image.new_from_array(pixels).pngsave_buffer()
    return Material(color_texture=Texture(TextureImage(data, "png"), wrap, wrap), **more)  # pyright: ignore[reportArgumentType]


def _plain(color: tuple[int, int, int], alpha: float = 1.0, **more: object) -> Material:
    red, green, blue = ((part / 255) ** 2.2 for part in color)
    return Material(color=(red, green, blue, alpha), **more)  # pyright: ignore[reportArgumentType]


def _drawn(
    scene: Scene, yaw: float = 0, pitch: float = 0, size: int = _SIZE
) -> npt.NDArray[np.uint8]:
    textures = load_textures([each.data for each in pictures_of(scene)], 256)
    return Renderer(make_stage(scene), textures, pitch, size).draw(yaw)


def _hue(picture: npt.NDArray[np.uint8], down: float, across: float) -> set[int]:
    """The channels among red, green and blue that are strong at a place of the picture."""
    rows, columns = picture.shape[:2]
    color = picture[int(down * rows), int(across * columns)].astype(int)
    return {k for k in range(3) if color[k] > 0.6 * color.max()}


def _hues(picture: npt.NDArray[np.uint8]) -> list[set[int]]:
    """The hues left and right of the middle, above and below."""
    return [_hue(picture, y, x) for y in (0.35, 0.6) for x in (0.4, 0.6)]


def test_render_when_seen_from_the_front_shows_the_texture_as_it_is() -> None:
    picture = _drawn(_cube(_textured()))
    assert picture.shape == (_SIZE, _SIZE, 3)
    assert _hues(picture) == [{0}, {1}, {2}, {0, 1}]


def test_render_when_sides_have_materials_of_their_own_shows_each_where_it_is() -> None:
    cube = _cube(*map(_plain, (_RED, _GREEN, _BLUE, _YELLOW, (255, 255, 255), (0, 0, 0))))
    seen = [_hue(_drawn(cube, yaw), 0.47, 0.5) for yaw in (0, 90, 180, 270)]
    assert seen == [{0}, {2}, {1}, {0, 1}]
    assert _hue(_drawn(cube, 0, 60), 0.4, 0.5) == {0, 1, 2}


def test_render_when_the_camera_goes_up_sees_more_of_the_top() -> None:
    cube = _cube(*[_plain(_BLUE)] * 4, _plain(_RED), _plain(_BLUE))
    share = [
        (picture[..., 0] > picture[..., 2].astype(int) + 50).mean()
        for picture in (_drawn(cube, 0, pitch) for pitch in (0, 20, 40))
    ]
    assert share == sorted(share)
    assert share[2] > 1.3 * share[1] > 0


@pytest.mark.parametrize("scale", [1e-7, 1.0, 1e7, 1e30])
def test_render_when_a_model_is_tiny_or_huge_fills_the_picture_alike(scale: float) -> None:
    one = _drawn(_cube(_plain(_RED)), 30, 12)
    np.testing.assert_allclose(_drawn(_cube(_plain(_RED), scale=scale), 30, 12), one, atol=2)


def test_render_when_done_has_a_bright_background_and_a_shadow_on_the_ground() -> None:
    picture = _drawn(_cube(_plain(_GREEN)), 0, 12).astype(int)
    assert picture[:8, :8].min() > 200
    left, right = picture[60:80, 15::-1, 1], picture[60:80, 80:, 1]
    assert 12 < (left - right).max() < 60  # the light comes from the left


def test_render_when_repeated_is_the_same() -> None:
    one, two = (_drawn(_cube(_textured()), 30, 10) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_render_when_an_edge_is_slanted_softens_it() -> None:
    row = _drawn(_cube(_plain((0, 0, 0))), 45, 20)[_SIZE // 3, :, 1]
    assert ((row > 110) & (row < 190)).any()  # neither background nor cube


def test_render_when_a_side_is_missing_shows_inside_only_what_has_two_sides() -> None:
    open_front = Scene(_cube(_plain(_RED)).parts[1:])
    assert _hue(_drawn(open_front), 0.47, 0.5) == {0, 1, 2}  # the wall behind
    both = _plain(_RED, is_double_sided=True)
    open_front = Scene(_cube(both).parts[1:])
    assert _hue(_drawn(open_front), 0.47, 0.5) == {0}


def test_render_when_alpha_is_masked_cuts_holes() -> None:
    holes = np.dstack([_FOUR, np.full(_FOUR.shape[:2], 255, np.uint8)])
    holes[:32, :32, 3] = 100
    cube = _cube(_textured(holes, opacity=Opacity.MASK, cutoff=0.5), _plain(_BLUE))
    assert _hues(_drawn(cube)) == [{0, 1, 2}, {1}, {2}, {0, 1}]
    cube = _cube(_textured(holes, opacity=Opacity.MASK, cutoff=0.3), _plain(_BLUE))
    assert _hues(_drawn(cube))[0] == {0}
    assert _hues(_drawn(_cube(_textured(holes))))[0] == {0}


def test_render_when_alpha_is_blended_shows_what_is_behind_through_it() -> None:
    def middle(alpha: float) -> npt.NDArray[np.float64]:
        glass = _plain((0, 0, 0), alpha, opacity=Opacity.BLEND)
        picture = _drawn(_cube(glass, _plain(_BLUE)))
        return picture[40:56, 40:56].mean(axis=(0, 1))

    levels = [middle(alpha).sum() for alpha in (0, 0.25, 0.5, 0.75, 1)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 600
    assert levels[4] < 200
    assert len({round(level / 20) for level in levels}) == 5


def test_render_when_vertices_have_colors_shows_them() -> None:
    part = _side(0, Material())
    red, green = [1, 0, 0, 1], [0, 1, 0, 1]
    colors = np.array([red, green, green, red], np.float32)
    picture = _drawn(Scene((Part("", part.points, part.triangles, Material(), colors=colors),)))
    assert (_hue(picture, 0.47, 0.25), _hue(picture, 0.47, 0.74)) == ({0}, {1})


def test_render_when_there_are_no_normals_lights_each_side_evenly() -> None:
    picture = _drawn(_cube(_plain((200, 200, 200))), 40, 12, 192).astype(int)
    left, right = picture[80:110, 40:60, 1], picture[80:110, 140:150, 1]
    assert abs(left.mean() - right.mean()) > 15
    assert left.std() < 12


def test_render_when_a_surface_glows_is_bright_whatever_its_color() -> None:
    picture = _drawn(_cube(Material(color=(0, 0, 0, 1), emission=(0, 1, 0))))
    assert _hue(picture, 0.47, 0.5) == {1}
    assert picture[45, 48, 1] > 200


@pytest.mark.parametrize(
    ("wrap", "expected"),
    [
        (Wrap.REPEAT, [{0}, {1}, {0}, {1}]),
        (Wrap.MIRROR, [{0}, {1}, {1}, {0}]),
        (Wrap.CLAMP, [{0}, {1}, {1}, {1}]),
    ],
)
def test_render_when_a_texture_ends_goes_on_as_told(wrap: Wrap, expected: list[set[int]]) -> None:
    part = _side(0, _textured(_FOUR[:32], wrap))
    assert part.uv is not None
    wide = Part(
        "", part.points, part.triangles, part.material, uv=part.uv * np.array([2, 1], np.float32)
    )
    picture = _drawn(Scene((wide,)))
    assert [_hue(picture, 0.47, x) for x in (0.25, 0.42, 0.58, 0.75)] == expected


def test_render_when_there_are_several_textures_takes_each_for_its_own() -> None:
    one, two = np.full((8, 16, 3), _RED, np.uint8), np.full((32, 4, 3), _GREEN, np.uint8)
    cube = _cube(_textured(one), _textured(two))
    assert [_hue(_drawn(cube, yaw), 0.47, 0.5) for yaw in (0, 180)] == [{0}, {1}]


@pytest.mark.parametrize("points", [np.zeros((3, 3)), np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2]])])
def test_render_when_a_model_has_no_area_shows_the_empty_stage(
    points: npt.NDArray[np.float64],
) -> None:
    part = Part("", points.astype(np.float32), np.array([[0, 1, 2]]), Material())
    assert _drawn(Scene((part,))).min() > 100


def _shown(corners: npt.NDArray[np.float64], nearness: npt.NDArray[np.float64], side: int):
    raster = Raster(side)
    raster.add(corners, nearness, np.arange(len(corners)))
    shown = np.full((side * side, len(corners)), 0.0)
    for hits in raster.hits():
        shown[hits.pixels, hits.triangles] += hits.shares
    return shown.reshape(side, side, len(corners))


def test_raster_when_triangles_overlap_shows_the_nearer_one() -> None:
    near = np.array([[2.0, 2.0], [2.0, 18.0], [18.0, 2.0]])
    shown = _shown(np.stack([near, near + 4]), np.array([[0.5] * 3, [1.0] * 3]), 12)
    assert shown[1, 1].tolist() == [1, 0]
    assert shown[4, 4].tolist() == [0, 1]
    assert shown[11, 11].tolist() == [0, 0]


def test_raster_when_triangles_share_edges_covers_each_sample_once() -> None:
    around = np.linspace(0, 2 * np.pi, 38)
    rim = 31.7 + 28.3 * np.stack([np.cos(around), np.sin(around)], axis=1)
    fan = np.stack([np.full_like(rim[1:], 30.123), rim[:-1], rim[1:]], axis=1)
    shown = _shown(fan, np.ones((len(fan), 3)), 32)
    alone = np.stack([_shown(each[None], np.ones((1, 3)), 32)[..., 0] for each in fan], axis=-1)
    np.testing.assert_array_equal(shown, alone)  # none was there twice
    total = shown.sum(axis=-1)
    rows, columns = np.mgrid[:32, :32] * 2 + 1 - 31.7
    assert (total[np.hypot(rows, columns) < 26] == 1).all()
    assert (total[np.hypot(rows, columns) > 30] == 0).all()


def test_raster_when_a_triangle_lies_outside_shows_nothing() -> None:
    outside = np.array([[[-9.0, -9.0], [-9.0, -1.0], [-1.0, -9.0]], [[50, 2], [60, 2], [50, 9]]])
    assert _shown(outside, np.ones((2, 3)), 12).sum() == 0


def test_covered_when_triangles_face_either_way_finds_both() -> None:
    square = np.array([[1.0, 1.0], [1.0, 5.0], [5.0, 5.0], [5.0, 1.0]])
    found = covered(np.stack([square[[0, 1, 2]], square[[0, 3, 2]]]), 8)
    expected = np.zeros((8, 8), bool)
    expected[1:5, 1:5] = True
    np.testing.assert_array_equal(found, expected)
