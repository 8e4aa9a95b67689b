"""The facts that `inspect` reports about valid pictures."""

import base64
import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from safelight.media.pictures import appearance
from safelight.media.pictures.inspect import Facts, InspectRules, inspect, read_header, sniff
from tests import pictures

RULES = InspectRules()


def facts_of(data: bytes, folder: Path) -> Facts:
    path = folder / "picture"
    path.write_bytes(data)
    return inspect(path, RULES)


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_inspect_when_a_plain_picture_then_tells_its_facts(form: str, tmp_path: Path) -> None:
    data = pictures.picture(form)
    facts = facts_of(data, tmp_path)
    assert (facts.format, facts.media_type) == (form, f"image/{form}")
    assert (facts.width, facts.height, facts.frames, facts.depth) == (64, 48, 1, 8)
    assert (facts.color_space, facts.orientation) == ("rgb", 1)
    assert facts.bytes == len(data)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert not facts.has_location
    assert 0 < len(facts.colors) <= 5
    assert len(facts.perceptual_hash) == 16


@pytest.mark.parametrize("form", pictures.FORMATS)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 300), (300, 1), (101, 99), (1000, 3)])
def test_inspect_when_the_shape_is_odd_then_copes(
    form: str, width: int, height: int, tmp_path: Path
) -> None:
    facts = facts_of(pictures.picture(form, width, height), tmp_path)
    assert (facts.width, facts.height) == (width, height)
    assert base64.b64decode(facts.placeholder)


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_read_header_when_valid_then_agrees_with_the_decoder(form: str, tmp_path: Path) -> None:
    path = tmp_path / "misnamed.txt"
    for alpha in (False, True):
        path.write_bytes(pictures.picture(form, 123, 45, alpha=alpha and form != "jpeg"))
        assert read_header(path)[:3] == (form, 123, 45)


@pytest.mark.parametrize("lossless", [False, True])
def test_read_header_when_webp_is_lossy_or_not_then_reads_both(
    lossless: bool, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    path.write_bytes(pictures.encode(pictures.scene(70, 9), "webp", lossless=lossless, keep=0))
    assert read_header(path)[:3] == ("webp", 70, 9)


@pytest.mark.parametrize("options", [{"bigtiff": True}, {"tile": True}, {"pyramid": True}])
def test_inspect_when_a_tiff_is_unusual_then_reads_it(
    options: dict[str, bool], tmp_path: Path
) -> None:
    facts = facts_of(pictures.encode(pictures.scene(300, 200), "tiff", **options), tmp_path)
    assert (facts.width, facts.height, facts.frames) == (300, 200, 1)


@pytest.mark.parametrize("options", [{"interlace": True}, {"restart_interval": 1}])
def test_inspect_when_a_jpeg_is_unusual_then_reads_it(
    options: dict[str, int], tmp_path: Path
) -> None:
    assert facts_of(pictures.encode(pictures.scene(), "jpeg", **options), tmp_path).width == 64


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_inspect_when_animated_then_counts_frames(form: str, tmp_path: Path) -> None:
    facts = facts_of(pictures.animation(form, frames=3), tmp_path)
    assert (facts.width, facts.height, facts.frames) == (32, 24, 3)


def test_inspect_when_a_gif_lacks_only_its_last_byte_then_forgives(tmp_path: Path) -> None:
    assert facts_of(pictures.picture("gif")[:-1], tmp_path).width == 64


@pytest.mark.parametrize("form", ["png", "webp", "avif", "tiff"])
def test_inspect_when_transparent_then_says_so(form: str, tmp_path: Path) -> None:
    assert facts_of(pictures.picture(form, alpha=True), tmp_path).has_alpha
    assert not facts_of(pictures.picture(form), tmp_path).has_alpha


def test_inspect_when_deep_gray_or_cmyk_then_says_so(tmp_path: Path) -> None:
    deep = facts_of(pictures.deep_png(), tmp_path)
    assert (deep.depth, deep.color_space) == (16, "rgb")
    assert facts_of(pictures.gray_png(), tmp_path).color_space == "gray"
    assert facts_of(pictures.cmyk_jpeg(), tmp_path).color_space == "cmyk"
    assert facts_of(pictures.with_profile(), tmp_path).has_icc


def test_inspect_when_many_colors_then_names_the_frequent_ones(tmp_path: Path) -> None:
    for data in (pictures.picture("png"), pictures.deep_png(), pictures.with_profile("png")):
        red, green, blue = bytes.fromhex(facts_of(data, tmp_path).colors[0][1:])
        assert red > 200
        assert max(green, blue) < 60


@pytest.mark.parametrize("form", ["jpeg", "webp", "png", "tiff"])
def test_inspect_when_turned_then_tells_the_size_as_seen(form: str, tmp_path: Path) -> None:
    facts = facts_of(pictures.photo(form, orientation=6), tmp_path)
    assert (facts.width, facts.height, facts.orientation) == (48, 64, 6)
    upside_down = facts_of(pictures.photo(form, orientation=3), tmp_path)
    assert (upside_down.width, upside_down.height) == (64, 48)


def test_inspect_when_there_is_exif_then_tells_it_without_the_place(tmp_path: Path) -> None:
    facts = facts_of(pictures.photo(), tmp_path)
    assert facts.exif["Make"] == "Safelight"
    assert facts.exif["DateTimeOriginal"] == "2026:11:22 10:00:00"
    assert facts.exif["FNumber"] == 2.8
    assert facts.exif["ISOSpeedRatings"] == 400
    assert facts.has_location
    assert "GPS" not in json.dumps(facts.document())


def test_facts_when_returned_then_pickle_and_turn_into_json(tmp_path: Path) -> None:
    facts = facts_of(pictures.photo(), tmp_path)
    assert pickle.loads(pickle.dumps(facts)) == facts  # noqa: S301  our own
    assert json.loads(json.dumps(facts.document()))["format"] == "jpeg"


def test_inspect_when_the_same_picture_is_recoded_then_hashes_are_near(tmp_path: Path) -> None:
    hashes = [
        int(facts_of(pictures.picture(form, 320, 240), tmp_path).perceptual_hash, 16)
        for form in pictures.FORMATS
    ]
    assert max((one ^ hashes[0]).bit_count() for one in hashes) <= 6
    other = pictures.encode(pictures.scene(320, 240).flip("horizontal"), "png")
    distance = int(facts_of(other, tmp_path).perceptual_hash, 16) ^ hashes[0]
    assert distance.bit_count() > 10


@pytest.mark.parametrize("name", pictures.polyglots())
def test_inspect_when_a_polyglot_then_sees_only_the_picture(name: str, tmp_path: Path) -> None:
    facts = facts_of(pictures.polyglots()[name], tmp_path)
    assert facts.format == name.split(maxsplit=1)[0]


@pytest.mark.parametrize(
    ("width", "height", "alpha", "expected"),
    [
        (30, 20, False, "2ygOHY5QdYhziHiGeHd4h6RvDmt5"),
        (20, 30, False, "2vgNHQhAlmGoZohneHd4d7lqD26L"),
        (100, 7, False, "2ggGMYIRIZBxmEiZm49coJo="),
        (1, 1, False, "AAgCBwAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        (40, 31, True, "XuiFFIYnCXhFqHVZ6ODVCmhoBmlneId3Bw=="),
    ],
)
def test_thumbhash_when_compared_with_the_reference_then_is_equal(
    width: int, height: int, alpha: bool, expected: str
) -> None:
    """The expected values are the answers of the reference implementation (thumbhash 0.1.1)."""
    y, x = np.mgrid[0:height, 0:width]
    opacity = (x * 11 + y * 2) % 256 if alpha else np.full_like(x, 255)
    planes = [(x * 7 + y * 3) % 256, (x * x + y * 5) % 256, (x * y) % 256, opacity]
    assert appearance.thumbhash(np.stack(planes, axis=2).astype(np.uint8)) == expected


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_sniff_when_a_picture_begins_then_names_its_type(form: str) -> None:
    assert sniff(pictures.picture(form)[:64]) == f"image/{form}"
