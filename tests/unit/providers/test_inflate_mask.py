"""The object is told from the background, whatever the background and the file format."""

from pathlib import Path

import numpy as np
import pytest
import pyvips
from scipy import ndimage

from safelight.media.errors import MediaTruncated, MediaUnsupported
from safelight.providers.errors import NoForeground
from safelight.providers.local.inflate.arrays import Bools, Bytes
from safelight.providers.local.inflate.mask import MASKS, find_object, whole
from safelight.providers.local.inflate.picture import Box, SourcePicture, load_picture
from safelight.providers.local.inflate.schema import PARAMS
from tests import pictures

_SIDE = 240


def _places() -> tuple[np.ndarray, np.ndarray]:
    down, across = np.mgrid[:_SIDE, :_SIDE] / _SIDE
    return down, across


def _object() -> Bools:
    """A ring and a block that reaches the lower edge."""
    down, across = _places()
    far = np.hypot(down - 0.4, across - 0.4)
    return ((far < 0.28) & (far > 0.12)) | ((down > 0.7) & (abs(across - 0.7) < 0.1))


def _backgrounds() -> dict[str, np.ndarray]:
    down, across = _places()
    rng = np.random.default_rng(7)
    flat = np.full((_SIDE, _SIDE, 3), 200.0)
    slope = np.stack([150 + 90 * across, 160 + 60 * down, 230 - 70 * across], axis=-1)
    return {
        "plain": flat,
        "black": flat * 0,
        "noisy": flat + rng.normal(0, 12, flat.shape),
        "a gradient": slope,
        "a noisy gradient": slope + rng.normal(0, 10, flat.shape),
        "light from one side": flat * (1 - 0.5 * np.hypot(down, across) ** 2)[..., None],
    }


def _picture(pixels: np.ndarray) -> SourcePicture:
    image = pyvips.Image.new_from_array(np.clip(pixels, 0, 255).astype(np.uint8))
    return SourcePicture(image if image.bands == 4 else image.bandjoin(255))


def _agreement(coverage: np.ndarray, wanted: Bools) -> float:
    """Shared area over joint area."""
    zoom = [want / have for want, have in zip(wanted.shape, coverage.shape, strict=True)]
    found = np.asarray(ndimage.zoom(coverage, zoom, order=1)) > 0.5
    return float((found & wanted).sum() / (found | wanted).sum())


@pytest.mark.parametrize("color", [(180, 40, 30), (30, 60, 120)])
@pytest.mark.parametrize("name", _backgrounds())
def test_border_mask_when_an_object_stands_out_finds_it(
    name: str, color: tuple[int, int, int]
) -> None:
    pixels = np.where(_object()[..., None], np.array(color), _backgrounds()[name])
    mask = find_object(_picture(pixels), "auto")
    assert mask.name == "border"
    assert _agreement(mask.coverage, _object()) > 0.93


@pytest.mark.parametrize("name", _backgrounds())
def test_border_mask_when_there_is_only_background_finds_nothing(name: str) -> None:
    with pytest.raises(NoForeground):
        find_object(_picture(_backgrounds()[name]), "border")


def test_border_mask_when_the_object_has_a_small_highlight_has_no_hole_there() -> None:
    pixels = np.where(_object()[..., None], np.array([180, 40, 30]), _backgrounds()["plain"])
    pixels[60:64, 45:49] = 200
    assert find_object(_picture(pixels), "border").coverage[62, 47] > 0.5


def test_border_mask_when_the_object_is_tiny_finds_it() -> None:
    pixels = _backgrounds()["plain"]
    pixels[100:104, 120:124] = (20, 20, 160)
    assert 8 <= (find_object(_picture(pixels), "border").coverage > 0.5).sum() <= 60


def test_alpha_mask_when_a_picture_is_transparent_takes_what_is_not() -> None:
    mask = find_object(_picture(_cut_out(255)), "auto")
    assert mask.name == "alpha"
    assert _agreement(mask.coverage, _object()) > 0.99


def test_alpha_mask_when_all_of_the_picture_is_faint_still_finds_it() -> None:
    mask = find_object(_picture(_cut_out(40)), "auto")
    assert _agreement(mask.coverage, _object()) > 0.99


@pytest.mark.parametrize(("alpha", "name"), [(0, "auto"), (0, "alpha"), (255, "alpha")])
def test_alpha_mask_when_nothing_or_all_is_transparent_finds_nothing(alpha: int, name: str) -> None:
    with pytest.raises(NoForeground):
        find_object(_picture(np.full((50, 50, 4), alpha)), name)


def test_whole_mask_when_nothing_is_transparent_is_the_full_rectangle() -> None:
    mask = whole(_picture(_backgrounds()["plain"]))
    assert (mask.name, mask.coverage.min()) == ("full", 1)


def test_mask_param_when_listed_names_the_mask_functions() -> None:
    assert PARAMS["properties"]["mask"]["enum"] == ["auto", *MASKS]


def _cut_out(alpha: int) -> Bytes:
    pixels = np.full((_SIDE, _SIDE, 4), 90, np.uint8)
    pixels[..., 3] = np.where(_object(), alpha, 0)
    return pixels


# --- loading --------------------------------------------------------------------------------


def _load(tmp_path: Path, data: bytes, side: int = 500) -> Bytes:
    path = tmp_path / "picture"
    path.write_bytes(data)
    return load_picture(path, side).pixels(side)


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_picture_when_of_any_format_loads_as_rgba(tmp_path: Path, form: str) -> None:
    pixels = _load(tmp_path, pictures.picture(form))
    assert pixels.shape == (48, 64, 4)
    np.testing.assert_allclose(pixels[10, 10], [230, 20, 30, 255], atol=12)


@pytest.mark.parametrize(
    "data",
    [
        pictures.cmyk_jpeg(),
        pictures.deep_png(),
        pictures.with_profile(),
        pictures.animation("gif"),
        pictures.animation("webp"),
    ],
    ids=["cmyk", "16 bits", "profile", "animated gif", "animated webp"],
)
@pytest.mark.parametrize("side", [500, 20])
def test_picture_when_of_an_odd_kind_loads_its_first_frame_in_srgb(
    tmp_path: Path, data: bytes, side: int
) -> None:
    pixels = _load(tmp_path, data, side)
    assert pixels.shape[0] < pixels.shape[1] <= min(side, 64)
    np.testing.assert_allclose(pixels[3, 3], [230, 20, 30, 255], atol=25)  # no press has this red


def test_picture_when_its_samples_are_of_32_bits_loads_them_scaled(tmp_path: Path) -> None:
    ramp = np.linspace(0, 2**32 - 1, 64, dtype=np.uint32)[None, :].repeat(8, axis=0)
    pixels = _load(tmp_path, pictures.tiff(ramp))
    np.testing.assert_allclose(pixels[4, ::21, 0], [0, 85, 170, 255], atol=1)


def test_picture_when_gray_loads_as_rgba(tmp_path: Path) -> None:
    pixels = _load(tmp_path, pictures.gray_png())
    assert pixels.shape == (48, 64, 4)
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("side", [500, 30])
def test_picture_when_a_camera_turned_it_is_upright(tmp_path: Path, side: int) -> None:
    pixels = _load(tmp_path, pictures.photo(orientation=6), side)
    rows, columns = pixels.shape[:2]
    assert rows > columns
    # Turned right by a quarter: what the file has upper left is upper right.
    assert pixels[rows // 5, -columns // 5, 0] > 200
    assert pixels[rows // 5, columns // 5, 0] < 100


def test_picture_when_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaTruncated):
        _load(tmp_path, pictures.truncated(pictures.picture("jpeg", 400, 300)))


def test_picture_when_its_type_is_unknown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaUnsupported):
        _load(tmp_path, pictures.SVG)


def test_pixels_when_a_box_is_given_are_its_part() -> None:
    pixels = np.zeros((40, 80, 3))
    pixels[10:20, 40:60] = 255
    part = _picture(pixels).pixels(500, Box(0.5, 0.25, 0.75, 0.5))
    assert part.shape == (10, 20, 4)
    assert part.min() == 255
