"""A rendering shows what stands there: right way round, in front, and with a shadow."""

import numpy as np
import pytest

from safelight.providers.inflate.arrays import Bytes
from safelight.providers.inflate.inflation import inflate
from safelight.providers.inflate.mesh import Mesh, balloon, finish
from safelight.providers.inflate.raster import rasterize
from safelight.providers.inflate.render import render
from safelight.providers.inflate.shape import fit_shape

_SIZE = 96
_FOUR = np.array([[(220, 20, 20), (20, 200, 20)], [(20, 20, 220), (220, 200, 20)]], np.uint8)


def _ball() -> Mesh:
    down, across = np.mgrid[:80, :80] - 39.5
    inside = (np.hypot(down, across) < 36).astype(np.float32)
    shape = fit_shape(inside, 0, 3000, lambda sheet: 2 * len(sheet.triangles))
    vertices, triangles = balloon(shape.sheet, inflate(shape.field))
    places = shape.frame.to_pixels(vertices[:, :2]) / 79
    return finish(vertices, triangles, places, 1.0)


@pytest.fixture(scope="module")
def ball() -> Mesh:
    return _ball()


def _hue(picture: Bytes, down: float, across: float) -> set[int]:
    """Which of red, green and blue are strong at a place of the picture."""
    color = picture[int(down * _SIZE), int(across * _SIZE)].astype(int)
    return {k for k in range(3) if color[k] > 0.6 * color.max()}


def test_render_when_seen_from_the_front_shows_the_texture_as_it_is(ball: Mesh) -> None:
    picture = render(ball, np.kron(_FOUR, np.ones((16, 16, 1), np.uint8)), 0, 0, _SIZE)
    assert picture.shape == (_SIZE, _SIZE, 3)
    hues = [_hue(picture, y, x) for y in (0.3, 0.65) for x in (0.3, 0.7)]
    assert hues == [{0}, {1}, {2}, {0, 1}]


def test_render_when_seen_from_behind_shows_the_mirrored_texture(ball: Mesh) -> None:
    picture = render(ball, np.kron(_FOUR, np.ones((16, 16, 1), np.uint8)), 180, 0, _SIZE)
    hues = [_hue(picture, y, x) for y in (0.3, 0.65) for x in (0.3, 0.7)]
    assert hues == [{1}, {0}, {0, 1}, {2}]


def test_render_when_the_camera_goes_right_sees_more_of_the_right(ball: Mesh) -> None:
    texture = np.kron(_FOUR, np.ones((16, 16, 1), np.uint8))
    assert _hue(render(ball, texture, 45, 0, _SIZE), 0.3, 0.4) == {1}
    assert _hue(render(ball, texture, -45, 0, _SIZE), 0.3, 0.6) == {0}


def test_render_when_the_camera_goes_up_sees_more_of_the_top(ball: Mesh) -> None:
    texture = np.repeat(np.array([[[250, 20, 20]], [[20, 20, 250]]], np.uint8), 2, axis=1)
    share = [
        (picture[..., 0] > picture[..., 2].astype(int) + 50).mean()
        for picture in (render(ball, texture, 0, pitch, _SIZE) for pitch in (-30, 0, 30))
    ]
    assert share == sorted(share)
    assert share[2] > 1.3 * share[0]


def test_render_when_done_has_a_bright_background_and_a_shadow_on_the_ground(ball: Mesh) -> None:
    picture = render(ball, np.full((1, 1, 3), 255, np.uint8), 0, 12, _SIZE).astype(int)
    assert picture[:8, :8].min() > 200
    beside, below = picture[int(0.93 * _SIZE), 4], picture[int(0.93 * _SIZE), _SIZE // 2]
    assert (below < beside - 20).all()


def test_render_when_repeated_is_the_same(ball: Mesh) -> None:
    one, two = (render(ball, _FOUR, 30, 10, 64) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_render_when_an_edge_is_slanted_softens_it(ball: Mesh) -> None:
    picture = render(ball, np.zeros((1, 1, 3), np.uint8), 0, 0, _SIZE)
    row = np.sort(picture[: _SIZE // 2, ::7, 1].ravel())
    assert ((row > 90) & (row < 200)).any()  # neither background nor ball


def test_raster_when_triangles_overlap_shows_the_nearer_one() -> None:
    near = np.array([[1.0, 1.0], [1.0, 9.0], [9.0, 1.0]])  # counterclockwise as seen, y down
    corners = np.stack([near, near + 2])
    hits = rasterize(corners, np.array([[2.0] * 3, [1.0] * 3]), 12)
    shown = np.full(144, -1)
    shown[hits.pixels] = hits.triangles
    image = shown.reshape(12, 12)
    assert (image[1, 1], image[4, 4], image[11, 11]) == (0, 1, -1)
    np.testing.assert_allclose(hits.weights.sum(axis=1), 1, atol=1e-5)


def test_raster_when_two_triangles_share_an_edge_leaves_no_gap() -> None:
    square = np.array([[2.2, 2.7], [2.2, 40.3], [41.1, 40.3], [41.1, 2.7]])
    corners = np.stack([square[[0, 1, 2]], square[[0, 2, 3]]])
    hits = rasterize(corners, np.ones((2, 3)), 64)
    assert len(hits.pixels) == len(np.unique(hits.pixels)) == 39 * 37


def test_raster_when_a_triangle_faces_away_or_lies_outside_shows_nothing() -> None:
    turned = np.array([[[1.0, 1.0], [9.0, 1.0], [1.0, 9.0]]])
    outside = np.array([[[-9.0, -9.0], [-9.0, -1.0], [-1.0, -9.0]]])
    for corners in (turned, outside):
        assert len(rasterize(corners, np.ones((1, 3)), 12).pixels) == 0
