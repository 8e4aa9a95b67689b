"""Any opaque shape in a picture becomes a sound model, as checked by trimesh."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
import trimesh
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from safelight.providers.errors import NoForeground
from safelight.providers.local.inflate.order import Params
from safelight.providers.local.inflate.picture import SourcePicture
from safelight.providers.local.inflate.sculpt import Sculpture, make_sculpture

_MOST_PIXELS = 16  # a side, before each becomes a block


@st.composite
def _alphas(draw: st.DrawFn) -> npt.NDArray[np.uint8]:
    """Draw what is opaque: any pixels at all, or blocks with hard or soft edges."""
    shape = st.tuples(st.integers(1, _MOST_PIXELS), st.integers(1, _MOST_PIXELS))
    values = st.sampled_from([0, 255]) if draw(st.booleans()) else st.integers(0, 255)
    alpha = draw(arrays.arrays(np.uint8, shape, elements=values, fill=st.nothing()))
    block = draw(st.integers(1, 9))
    return np.kron(alpha, np.ones((block, block), np.uint8))


@st.composite
def _params(draw: st.DrawFn) -> Params:
    mode: Literal["inflate", "relief"] = draw(st.sampled_from(["inflate", "relief"]))
    return Params(
        mode=mode,
        thickness=draw(st.floats(0.1, 2)),
        smoothing=draw(st.floats(0, 1)),
        face_limit=draw(st.integers(500, 3000)),
        texture_size=draw(st.sampled_from([256, 4096])),
        size_m=draw(st.sampled_from([0.001, 1.0, 1000.0])),
        mask="alpha",
    )


def test_texture_when_no_size_is_asked_for_has_the_pictures_own_pixels() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (1500, 2000, 4), np.uint8)
    pixels[..., 3] = 0
    pixels[200:1400, 100:1900, 3] = 255
    made = make_sculpture(SourcePicture(pyvips.Image.new_from_array(pixels)), Params(mask="alpha"))
    rows, columns = made.texture.pixels.shape[:2]
    assert (rows, columns) == pytest.approx((1200, 1800), rel=0.01)
    left, top = round(2000 * made.texture.box.left), round(1500 * made.texture.box.top)
    middle = made.texture.pixels[400:800, 600:1200]
    assert np.array_equal(middle, pixels[top + 400 : top + 800, left + 600 : left + 1200, :3])


@settings(max_examples=120, deadline=None)
@given(alpha=_alphas(), params=_params())
def test_model_when_anything_at_all_is_opaque_is_sound(
    alpha: npt.NDArray[np.uint8], params: Params
) -> None:
    assume(alpha.min() < 250 and alpha.max() > 0)
    colors = np.indices((*alpha.shape, 3)).sum(axis=0).astype(np.uint8)
    image = pyvips.Image.new_from_array(np.dstack([colors, alpha]))
    try:
        made = make_sculpture(SourcePicture(image), params)
    except NoForeground:
        # A relief of a single pixel has no bright part to raise.
        assert params.mode == "relief"
        reject()
    _assert_sound(made, params)


def _assert_sound(made: Sculpture, params: Params) -> None:
    mesh = made.mesh
    assert mesh.is_watertight
    seen = trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)
    # What prints a model knows corners by their place alone.
    seen.merge_vertices()
    assert len(seen.vertices) == len(mesh.vertices)
    assert seen.is_watertight
    assert seen.is_winding_consistent
    assert seen.volume > 0
    assert 0 < len(mesh.triangles) <= params.face_limit
    np.testing.assert_allclose(max(mesh.size), params.size_m, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)
    assert mesh.texture_places.min() >= 0
    assert mesh.texture_places.max() <= 1
    assert max(made.texture.pixels.shape[:2]) <= params.texture_size
