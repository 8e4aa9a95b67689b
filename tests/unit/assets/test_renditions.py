"""The public copy and the smaller pictures."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pyvips

from safelight.media.pictures.ingest import TakenIn, take_in
from safelight.media.pictures.inspect import InspectRules, inspect
from safelight.media.pictures.picture import Picture
from tests import pictures
from tests.pictures import data_of

RULES = InspectRules()


def made_of(data: bytes, folder: Path, *, served: bool = True) -> TakenIn:
    """Take a picture in; in memory and with files, which must not differ."""
    source = folder / "source"
    source.write_bytes(data)
    on_disk = take_in(source, folder, RULES, serve=served)
    made = take_in(data, None, RULES, serve=served)
    assert made.facts == on_disk.facts
    assert made.pictures.keys() == on_disk.pictures.keys()
    for one, other in zip(_all(made), _all(on_disk), strict=True):
        assert data_of(one) == data_of(other)
        assert one == replace(other, content=one.content)
    return made


def _all(made: TakenIn) -> list[Picture]:
    return [*filter(None, [made.served]), *made.pictures.values()]


def check(made: Picture) -> pyvips.Image:
    """Return the file, having seen that what is said of it is true."""
    facts = inspect(data_of(made), RULES)
    assert (facts.width, facts.height) == (made.width, made.height)
    assert (facts.media_type, facts.bytes) == (made.media_type, made.bytes)
    assert (facts.orientation, facts.has_location, facts.has_icc) == (1, False, False)
    assert facts.exif.keys() <= {"ColorSpace"}
    return pyvips.Image.new_from_buffer(data_of(made), "")


def served_of(made: TakenIn) -> Picture:
    assert made.served is not None
    return made.served


def color_at(image: pyvips.Image, x: int, y: int) -> list[int]:
    return [round(part) for part in image.getpoint(x, y)[:3]]


SERVED_AS = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/jpeg",
    "tiff": "image/jpeg",
}


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_take_in_when_served_then_keeps_what_browsers_show(form: str, tmp_path: Path) -> None:
    made = made_of(pictures.picture(form, 1500, 1000), tmp_path)
    served = served_of(made)
    assert (served.media_type, served.width, served.height) == (SERVED_AS[form], 1500, 1000)
    check(served)
    preview, thumb = made.pictures["preview"], made.pictures["thumb"]
    assert (preview.width, preview.height, preview.media_type) == (1024, 683, "image/webp")
    assert (thumb.width, thumb.height, thumb.media_type) == (256, 171, "image/webp")
    for small in (preview, thumb):
        red, green, blue = color_at(check(small), small.width // 8, small.height // 8)
        assert red > 200
        assert max(green, blue) < 70


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_take_in_when_not_served_then_makes_only_the_small_ones(form: str, tmp_path: Path) -> None:
    made = made_of(pictures.picture(form, 2100, 700), tmp_path, served=False)
    assert made.served is None
    assert (made.pictures["preview"].width, made.pictures["preview"].height) == (1024, 341)
    assert (made.pictures["thumb"].width, made.pictures["thumb"].height) == (256, 85)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (40, 30), (3000, 2), (2, 3000)])
def test_take_in_when_small_or_thin_then_enlarges_nothing(
    width: int, height: int, tmp_path: Path
) -> None:
    made = made_of(pictures.picture("png", width, height), tmp_path)
    for name, side in (("thumb", 256), ("preview", 1024)):
        small = made.pictures[name]
        assert max(small.width, small.height) == min(side, max(width, height))
        check(small)


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_take_in_when_turned_then_stands_upright_without_the_place(
    form: str, served: bool, orientation: int, tmp_path: Path
) -> None:
    made = made_of(
        pictures.photo(form, orientation=orientation, width=160, height=80), tmp_path, served=served
    )
    every = [*made.pictures.values(), *([made.served] if made.served else [])]
    # Where the red block of the upper left ends up, as (right, bottom).
    corner = {
        1: (0, 0),
        2: (1, 0),
        3: (1, 1),
        4: (0, 1),
        5: (0, 0),
        6: (1, 0),
        7: (1, 1),
        8: (0, 1),
    }
    right, bottom = corner[orientation]
    for picture in every:
        assert (picture.width > picture.height) == (orientation < 5)
        image = check(picture)
        x = picture.width * 3 // 4 if right else picture.width // 4
        y = picture.height * 3 // 4 if bottom else picture.height // 4
        red, green, blue = color_at(image, x, y)
        assert red > 180
        assert max(green, blue) < 90
        data = data_of(picture)
        assert b"GPS" not in data
        assert b"Exif" not in data
        assert b"Testbox" not in data


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_take_in_when_animated_then_stays_animated(form: str, tmp_path: Path) -> None:
    made = made_of(pictures.animation(form, frames=3), tmp_path)
    served = served_of(made)
    facts = inspect(data_of(served), RULES)
    assert (facts.frames, served.width, served.height) == (3, 32, 24)
    assert check(served).get("delay") == [100, 100, 100]
    assert inspect(data_of(made.pictures["thumb"]), RULES).frames == 1


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_take_in_when_an_animation_says_too_much_then_only_frames_stay(
    form: str, tmp_path: Path
) -> None:
    talkative = pictures.talkative_animation(form)
    made = made_of(talkative, tmp_path)
    data = data_of(served_of(made))
    assert talkative.count(b"secret") == 3
    assert b"secret" not in data
    plain, copy = (
        pyvips.Image.new_from_buffer(each, "", n=-1).write_to_memory() for each in (talkative, data)
    )
    assert copy == plain
    assert inspect(data_of(served_of(made)), RULES).frames == 3


@pytest.mark.parametrize("make", [pictures.cmyk_jpeg, pictures.with_profile, pictures.deep_png])
def test_take_in_when_not_plain_srgb_then_becomes_it(
    make: Callable[[], bytes], tmp_path: Path
) -> None:
    made = made_of(make(), tmp_path)
    for picture in (served_of(made), made.pictures["thumb"]):
        facts = inspect(data_of(picture), RULES)
        assert (facts.color_space, facts.depth) == ("rgb", 8)
        red, green, blue = color_at(check(picture), 8, 8)
        assert red > 190
        assert max(green, blue) < 90


@pytest.mark.parametrize("form", ["avif", "tiff", "png", "webp"])
def test_take_in_when_transparent_then_stays_so(form: str, tmp_path: Path) -> None:
    made = made_of(pictures.picture(form, alpha=True), tmp_path)
    assert check(served_of(made)).hasalpha()
    assert check(made.pictures["thumb"]).hasalpha()


@pytest.mark.parametrize("name", pictures.polyglots())
def test_take_in_when_a_polyglot_then_the_rest_is_gone(name: str, tmp_path: Path) -> None:
    made = made_of(pictures.polyglots()[name], tmp_path)
    data = data_of(served_of(made))
    assert b"<script" not in data
    assert b"PK\x05\x06" not in data


@pytest.mark.parametrize("name", ["junk", "of a press"])
def test_take_in_when_the_profile_is_false_then_still_works(name: str, tmp_path: Path) -> None:
    made = made_of(pictures.with_false_profiles()[name], tmp_path)
    red, green, blue = color_at(check(served_of(made)), 8, 8)
    assert red > 190
    assert max(green, blue) < 90


@pytest.mark.parametrize(("mode", "chroma"), [("on", "4:2:0"), ("off", "4:4:4")])
def test_served_copy_of_a_jpeg_when_made_has_the_chroma_of_the_original(
    tmp_path: Path, mode: str, chroma: str
) -> None:
    original = pictures.scene(64, 64).jpegsave_buffer(Q=85, subsample_mode=mode)
    served = made_of(original, tmp_path).served
    assert served
    copy = pyvips.Image.new_from_buffer(data_of(served), "")
    assert copy.get("jpeg-chroma-subsample") == chroma
