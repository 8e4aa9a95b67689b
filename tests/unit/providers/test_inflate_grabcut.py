"""An object is parted from backgrounds of many colors, and from nothing where there is none."""

from collections.abc import Callable

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from safelight.providers.errors import NoForeground
from safelight.providers.local.inflate.arrays import Bools
from safelight.providers.local.inflate.mask import find_object
from safelight.providers.local.inflate.mixture import fit_mixture
from safelight.providers.local.inflate.picture import SourcePicture
from safelight.providers.local.inflate.walker import random_walk

_SIDE = 120
_DOWN, _ACROSS = np.mgrid[:_SIDE, :_SIDE] / _SIDE
_PEBBLE = np.ones((4, 4, 1))


def _noise(strength: float) -> np.ndarray:
    return np.random.default_rng(5).normal(0, strength, (_SIDE, _SIDE, 3))


def _two(which: Bools, one: tuple[int, int, int], other: tuple[int, int, int]) -> np.ndarray:
    return np.where(which[..., None], np.array(one, float), np.array(other, float)) + _noise(3)


_BACKGROUNDS: dict[str, np.ndarray] = {
    "a wall and a floor": _two(_DOWN < 0.6, (205, 200, 190), (150, 105, 70)),
    "stripes": _two(np.sin(_ACROSS * 40 + _DOWN * 9) > 0, (210, 215, 225), (150, 165, 190)),
    "a checked cloth": _two(
        (np.sin(_ACROSS * 50) > 0) ^ (np.sin(_DOWN * 50) > 0), (90, 140, 80), (225, 225, 205)
    ),
    "gravel": np.full((_SIDE, _SIDE, 3), 128.0) + np.kron(_noise(25)[::4, ::4, :1], _PEBBLE),
}
_FAR = np.hypot(_DOWN - 0.5, _ACROSS - 0.5)
_OBJECTS: dict[str, Bools] = {
    "a ring": (_FAR < 0.36) & (_FAR > 0.14),
    "a bust cut off below": (np.hypot(_DOWN - 0.35, _ACROSS - 0.5) < 0.17)
    | (np.hypot((_DOWN - 1) / 0.5, (_ACROSS - 0.5) / 0.32) < 1),
}


def _picture(pixels: np.ndarray) -> SourcePicture:
    levels = np.clip(pixels, 0, 255).astype(np.uint8)
    return SourcePicture(pyvips.Image.new_from_array(levels).bandjoin(255))


def _agreement(coverage: np.ndarray, wanted: Bools) -> float:
    """Shared area over joint area."""
    found = coverage > 0.5
    return float((found & wanted).sum() / (found | wanted).sum())


@pytest.mark.parametrize("object_name", _OBJECTS)
@pytest.mark.parametrize("background", _BACKGROUNDS)
def test_auto_mask_when_the_background_has_many_colors_finds_the_object(
    background: str, object_name: str
) -> None:
    wanted = _OBJECTS[object_name]
    colors = np.stack([170 + 60 * _ACROSS, 40 + 30 * _DOWN, 60 - 30 * _ACROSS], axis=-1)
    picture = _picture(np.where(wanted[..., None], colors, _BACKGROUNDS[background]))
    mask = find_object(picture, "auto")
    assert mask.name == "grabcut"
    assert _agreement(mask.coverage, wanted) > 0.93


def test_auto_mask_when_the_background_is_plain_takes_the_simpler_way() -> None:
    pixels = np.where(_OBJECTS["a ring"][..., None], 60, 230) + np.zeros(3)
    assert find_object(_picture(pixels), "auto").name == "border"


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((_SIDE, _SIDE, 3), 200.0),
        np.full((_SIDE, _SIDE, 3), 120.0) + _noise(12),
        np.stack([150 + 80 * _ACROSS, 160 + 60 * _DOWN, 220 - 60 * _ACROSS], axis=-1),
        _BACKGROUNDS["a wall and a floor"],
        _BACKGROUNDS["stripes"],
        _BACKGROUNDS["a checked cloth"],
        np.full((1, 1, 3), 90.0),
        np.full((2, 3, 3), 90.0),
    ],
    ids=["plain", "noise", "gradient", "floor", "stripes", "cloth", "one pixel", "six pixels"],
)
@pytest.mark.parametrize("name", ["grabcut", "auto"])
def test_grabcut_when_there_is_only_background_finds_nothing(name: str, pixels: np.ndarray) -> None:
    with pytest.raises(NoForeground):
        find_object(_picture(pixels), name)


@settings(max_examples=15, deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_grabcut_when_the_picture_is_tiny_finds_something_or_says_there_is_nothing(
    pixels: np.ndarray,
) -> None:
    try:
        coverage = find_object(_picture(pixels), "grabcut").coverage
    except NoForeground:
        return
    assert coverage.shape == pixels.shape[:2]
    assert np.isfinite(coverage).all()


def test_grabcut_when_repeated_is_the_same() -> None:
    picture = _picture(
        np.where(_OBJECTS["a ring"][..., None], np.array([200, 40, 40]), _BACKGROUNDS["stripes"])
    )
    one, two = (find_object(picture, "grabcut").coverage for _ in range(2))
    np.testing.assert_array_equal(one, two)


# --- its parts ------------------------------------------------------------------------------


def test_mixture_when_colors_are_of_two_kinds_finds_both() -> None:
    rng = np.random.default_rng(2)
    red, blue = (
        rng.normal(mean, 3, (n, 3)) for mean, n in (((50, 60, 40), 900), ((40, 20, -60), 300))
    )
    mixture = fit_mixture(np.concatenate([red, blue]))
    assert mixture.shares.sum() == pytest.approx(1)
    near_red = np.linalg.norm(mixture.means - (50, 60, 40), axis=1) < 10
    assert mixture.shares[near_red].sum() == pytest.approx(0.75, abs=0.02)
    density = mixture.log_density(np.array([[50, 60, 40], [40, 20, -60], [90, 0, 0]]))
    assert density.argsort().tolist() == [2, 1, 0]


def test_mixture_when_rare_kinds_are_left_out_keeps_the_shares_one() -> None:
    colors = np.concatenate([np.zeros((98, 3)), np.full((2, 3), 80.0)])
    mixture = fit_mixture(colors)
    kept = mixture.without_rare(0.05)
    assert kept.shares.sum() == pytest.approx(1)
    assert (kept.means < 1).all()
    assert len(mixture.without_rare(2).shares) == 1


@pytest.mark.parametrize("count", [1, 2, 7])
def test_mixture_when_there_are_few_colors_is_still_finite(count: int) -> None:
    density = fit_mixture(np.full((count, 3), 30.0)).log_density(np.array([[30.0, 30.0, 30.0]]))
    assert np.isfinite(density).all()


def _split() -> tuple[np.ndarray, np.ndarray]:
    """Two areas of color, and hints that are right in two pixels of three."""
    left = _ACROSS[:40, :40] < 20 / _SIDE
    lab = np.where(left[..., None], np.array([70.0, 30, 30]), np.array([40.0, -20, 10]))
    wrong = np.random.default_rng(3).random((40, 40)) < 1 / 3
    return lab, np.where(left ^ wrong, 0.9, 0.1)


def test_walk_when_hints_are_noisy_settles_on_the_outline_of_the_colors() -> None:
    lab, hints = _split()
    settled = random_walk(hints, lab)
    assert (settled[:, :20] > 0.5).all()
    assert (settled[:, 20:] < 0.5).all()


@pytest.mark.parametrize(
    "change", [lambda a: a[:1], lambda a: a[:, :1], lambda a: a[:1, :1]], ids=["row", "column", "1"]
)
def test_walk_when_the_picture_is_a_line_or_a_point_stays_within_the_hints(
    change: Callable[[np.ndarray], np.ndarray],
) -> None:
    lab, hints = _split()
    settled = random_walk(change(hints), change(lab))
    assert settled.shape == change(hints).shape
    assert settled.min() >= 0.1 - 1e-2
    assert settled.max() <= 0.9 + 1e-2
