"""Of any outline, the mesh is closed, consistently wound and within its triangle budget."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from safelight.providers.local.inflate.arrays import Bools
from safelight.providers.local.inflate.contour import cut_out
from safelight.providers.local.inflate.images import parts
from safelight.providers.local.inflate.inflation import inflate
from safelight.providers.local.inflate.mesh import Mesh, balloon, finish, plaque
from safelight.providers.local.inflate.shape import fit_shape


def _line(rows: int, columns: int) -> Bools:
    found = np.zeros((rows, columns), bool)
    found[np.arange(rows), np.linspace(0, columns - 1, rows).astype(int)] = True
    return found


def _disc(side: int, radius: float, hole: float = 0) -> Bools:
    down, across = np.mgrid[:side, :side] - (side - 1) / 2
    far = np.hypot(down, across)
    return (far <= radius) & (far >= hole)


def _dot(side: int) -> Bools:
    found = np.zeros((side, side), bool)
    found[side // 3, side // 2] = True
    return found


def _blobs(seed: int) -> Bools:
    noise = np.random.default_rng(seed).normal(size=(90, 70))
    return ndimage.gaussian_filter(noise, 4) > 0


MASKS: dict[str, Bools] = {
    "a full picture": np.ones((40, 60), bool),
    "a disc": _disc(80, 30),
    "a ring": _disc(80, 38, 20),
    "a disc beyond the border": _disc(60, 37),
    "a dot in the middle of nowhere": _dot(200),
    "a single pixel": np.ones((1, 1), bool),
    "a row": np.ones((1, 90), bool),
    "a diagonal line": _line(150, 120),
    "a steep line": _line(150, 9)[:, ::-1],
    "a checkerboard": np.indices((64, 64)).sum(axis=0) % 2 == 0,
    "a coarse checkerboard": np.indices((64, 64)).sum(axis=0) // 8 % 2 == 0,
    "two corners that touch": np.kron(np.eye(2), np.ones((20, 20))) > 0,
    "two dots far apart": _dot(100) | _dot(100)[::-1],
    "stripes": np.indices((60, 60))[0] % 3 == 0,
    "blobs": _blobs(1),
    "other blobs": _blobs(2),
}


def _balloon(found: Bools, *, limit: int = 4000, smoothing: float = 0.5) -> Mesh:
    shape = fit_shape(found.astype(np.float32), smoothing, limit, lambda s: 2 * len(s.triangles))
    vertices, triangles = balloon(shape.sheet, inflate(shape.field))
    return finish(vertices, triangles, vertices[:, :2] * 0, 1.0)


def _plaque(found: Bools, limit: int = 4000) -> Mesh:
    shape = fit_shape(
        found.astype(np.float32),
        0.5,
        limit,
        lambda sheet: 2 * (len(sheet.triangles) + len(sheet.rim_edges())),
    )
    vertices, triangles = plaque(shape.sheet, np.full(shape.sheet.inner, 3.0), 2.0)
    return finish(vertices, triangles, vertices[:, :2] * 0, 1.0)


def _assert_sound(mesh: Mesh, limit: int = 4000) -> None:
    assert mesh.is_watertight
    assert mesh.volume > 0
    assert 0 < len(mesh.triangles) <= limit
    assert np.isfinite(mesh.vertices).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)
    assert len(np.unique(mesh.vertices, axis=0)) == len(mesh.vertices)


@pytest.mark.parametrize("name", MASKS)
def test_balloon_when_any_mask_is_given_is_closed_and_turned_outward(name: str) -> None:
    _assert_sound(_balloon(MASKS[name]))


@pytest.mark.parametrize("name", MASKS)
def test_plaque_when_any_mask_is_given_is_closed_and_turned_outward(name: str) -> None:
    _assert_sound(_plaque(MASKS[name]))


@pytest.mark.parametrize("name", MASKS)
def test_balloon_when_few_triangles_are_allowed_has_no_more(name: str) -> None:
    _assert_sound(_balloon(MASKS[name], limit=500), 500)


@pytest.mark.parametrize("smoothing", [0, 1])
@pytest.mark.parametrize("name", MASKS)
def test_balloon_when_smoothed_or_not_is_closed(name: str, smoothing: float) -> None:
    _assert_sound(_balloon(MASKS[name], limit=2000, smoothing=smoothing), 2000)


@settings(max_examples=150, deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_balloon_when_the_mask_is_random_is_closed(found: Bools) -> None:
    if found.any():
        _assert_sound(_balloon(found, limit=1500), 1500)


@settings(max_examples=150, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.floats(-1, 1, width=32),
    )
)
def test_sheet_when_the_field_is_random_has_rim_loops_and_no_other_border(
    values: np.ndarray,
) -> None:
    sheet = cut_out(np.pad(values, 1, constant_values=-1))
    start, end = sheet.rim_edges().T
    # Every rim vertex is entered once and left once: simple closed loops.
    assert sorted(start) == sorted(end) == list(range(sheet.inner, len(sheet.places)))


def test_balloon_when_the_mask_is_a_ring_has_one_hole_through_it() -> None:
    mesh = _balloon(MASKS["a ring"])
    edges = len(mesh.triangles) * 3 // 2
    assert len(mesh.vertices) - edges + len(mesh.triangles) == 0  # Euler: a torus


def test_balloon_when_the_mask_is_a_disc_is_a_ball() -> None:
    mesh = _balloon(MASKS["a disc"], smoothing=0)
    np.testing.assert_allclose(mesh.size, 1, atol=0.02)
    assert mesh.volume == pytest.approx(np.pi / 6, rel=0.03)


def test_shape_when_more_triangles_are_allowed_uses_them() -> None:
    few, many = (len(_balloon(MASKS["a disc"], limit=n).triangles) for n in (1000, 8000))
    assert 600 < few <= 1000
    assert 5000 < many <= 8000


def test_shape_when_a_line_is_thinner_than_the_grid_keeps_it_whole() -> None:
    found = MASKS["a diagonal line"]
    shape = fit_shape(found.astype(np.float32), 0.5, 500, lambda s: 2 * len(s.triangles))
    labels, _ = parts(shape.field > 0)
    assert labels.max() == 1
    assert np.ptp(shape.frame.to_pixels(shape.sheet.places), axis=0).min() >= 118
