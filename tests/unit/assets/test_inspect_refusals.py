"""The refusals of `inspect`, each with its error and before decoding."""

import random
from pathlib import Path

import pytest

from safelight.media.errors import (
    MediaEmpty,
    MediaError,
    MediaTooManyPixels,
    MediaTruncated,
    MediaUnsupported,
)
from safelight.media.pictures.inspect import InspectRules, inspect, read_header
from safelight.media.pictures.vips import decoding
from tests import pictures

RULES = InspectRules()


def refusal_of(data: bytes, folder: Path, rules: InspectRules = RULES) -> MediaError:
    path = folder / "picture.png"
    path.write_bytes(data)
    with pytest.raises(MediaError) as caught:
        inspect(path, rules)
    return caught.value


def test_inspect_when_empty_then_says_so(tmp_path: Path) -> None:
    assert type(refusal_of(b"", tmp_path)) is MediaEmpty


@pytest.mark.parametrize("name", pictures.NOT_PICTURES)
def test_inspect_when_it_is_no_picture_then_is_unsupported(name: str, tmp_path: Path) -> None:
    error = refusal_of(pictures.NOT_PICTURES[name], tmp_path)
    assert type(error) is MediaUnsupported


@pytest.mark.parametrize("form", pictures.FORMATS)
@pytest.mark.parametrize("keep", [0.5, 0.8, 0.97])
def test_inspect_when_cut_short_then_is_truncated(form: str, keep: float, tmp_path: Path) -> None:
    data = pictures.truncated(pictures.picture(form, 640, 480), keep)
    assert type(refusal_of(data, tmp_path)) is MediaTruncated


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_inspect_when_an_animation_is_cut_then_is_truncated(form: str, tmp_path: Path) -> None:
    data = pictures.truncated(pictures.animation(form, frames=8), 0.7)
    assert type(refusal_of(data, tmp_path)) is MediaTruncated


@pytest.mark.parametrize("height", range(240, 260))
def test_inspect_when_only_the_last_rows_are_missing_then_notices(
    height: int, tmp_path: Path
) -> None:
    jpeg = pictures.encode(pictures.scene(500, height), "jpeg", restart_interval=1)
    assert type(refusal_of(jpeg[:-60], tmp_path)) is MediaTruncated


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_inspect_when_only_the_first_bytes_are_there_then_refuses(
    form: str, tmp_path: Path
) -> None:
    data = pictures.picture(form)
    for keep in (1, 2, 4, 8, 12, 16, 24, 32):
        assert isinstance(refusal_of(data[:keep], tmp_path), MediaError)


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_inspect_when_the_header_claims_too_much_then_decodes_nothing(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("safelight.media.pictures.decode.open_picture")
    data = pictures.claiming(form, 60000, 60000)
    assert len(data) < 10_000
    assert type(refusal_of(data, tmp_path)) is MediaTooManyPixels


def test_inspect_when_the_budget_is_exact_then_the_edge_passes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(pictures.picture("png", 64, 48))
    assert inspect(path, InspectRules(max_pixels=64 * 48)).width == 64
    error = refusal_of(path.read_bytes(), tmp_path, InspectRules(max_pixels=64 * 48 - 1))
    assert type(error) is MediaTooManyPixels


@pytest.mark.parametrize(
    "rules", [InspectRules(max_frames=5), InspectRules(max_animation_pixels=6 * 32 * 24 - 1)]
)
@pytest.mark.parametrize("form", ["gif", "webp"])
def test_inspect_when_frames_are_too_many_then_refuses(
    form: str, rules: InspectRules, tmp_path: Path
) -> None:
    error = refusal_of(pictures.animation(form, frames=6), tmp_path, rules)
    assert type(error) is MediaTooManyPixels


def test_inspect_when_a_format_is_not_allowed_then_is_unsupported(tmp_path: Path) -> None:
    rules = InspectRules(formats=frozenset({"png"}))
    assert type(refusal_of(pictures.picture("gif"), tmp_path, rules)) is MediaUnsupported


@pytest.mark.parametrize("form", pictures.FORMATS)
def test_inspect_when_bytes_are_flipped_then_answers_or_refuses_by_type(
    form: str, tmp_path: Path
) -> None:
    whole = pictures.picture(form)
    chance = random.Random(form)  # noqa: S311  the same flips each time
    path = tmp_path / "x"
    for _ in range(25):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            facts = inspect(path, InspectRules(max_pixels=1_000_000))
        except MediaError:
            continue
        assert facts.width * facts.height <= 1_000_000


def test_inspect_when_names_inside_are_no_text_then_takes_it(tmp_path: Path) -> None:
    data = pictures.photo("avif").replace(b"Exif", b"Exi\x91")
    assert b"Exi\x91" in data
    path = tmp_path / "good"
    path.write_bytes(data)
    assert inspect(path, RULES).width == 48  # upright


def test_decoding_when_a_message_is_no_text_then_is_truncated() -> None:
    with pytest.raises(MediaTruncated), decoding():
        b"\x91".decode()


def test_inspect_when_nothing_can_decode_heic_then_says_so(tmp_path: Path) -> None:
    error = refusal_of(pictures.heic(), tmp_path)
    assert type(error) is MediaUnsupported
    assert "decoder" in error.detail
    assert read_header(tmp_path / "picture.png")[:3] == ("heic", 64, 48)


@pytest.mark.parametrize("data", [pictures.claiming("avif", 7000, 7000), pictures.heic(7000, 7000)])
def test_inspect_when_a_format_needs_too_much_memory_then_names_the_most(
    data: bytes, tmp_path: Path
) -> None:
    error = refusal_of(data, tmp_path)
    assert type(error) is MediaTooManyPixels
    assert "A 49.0 megapixel" in error.detail
    assert "at most 22 megapixels" in error.detail


def test_read_header_when_no_picture_then_refuses_without_a_decoder(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(pictures.SVG)
    with pytest.raises(MediaUnsupported):
        read_header(path)
    path.write_bytes(pictures.claiming("png", 0, 5))
    with pytest.raises(MediaError):
        read_header(path)
