"""Unusual samples and color spaces are converted, or refused as unsupported: never shown wrong."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray

from safelight.media.errors import MediaUnsupported
from safelight.media.facts import InspectRules
from safelight.media.pictures.ingest import take_in
from safelight.media.pictures.inspect import Facts
from safelight.media.pictures.reshape import reshape
from safelight.media.pictures.spec import Format, VariantOrder
from safelight.providers.local.sketch import reference
from tests import pictures

_RAMP = np.linspace(0, 1, 64)[None, :].repeat(48, axis=0)
_COLORS = np.stack([_RAMP, _RAMP, _RAMP], axis=-1)


def shown(data: bytes, folder: Path) -> tuple[Facts, NDArray[Any]]:
    """The facts of a picture, and the rows, columns and channels of its public copy."""
    path = folder / "picture"
    path.write_bytes(data)
    made = take_in(path, folder, InspectRules(), serve=True)
    assert made.served
    return made.facts, pyvips.Image.new_from_buffer(pictures.data_of(made.served), "").numpy()


def scaled(kind: str, ramp: NDArray[np.float64] = _RAMP) -> NDArray[Any]:
    if kind.startswith("f"):
        return ramp.astype(kind)
    limits = np.iinfo(kind)
    return (limits.min + ramp * (int(limits.max) - int(limits.min))).astype(kind)


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4"])
def test_take_in_when_a_gray_tiff_has_samples_of_any_type_then_scales_them(
    kind: str, tmp_path: Path
) -> None:
    facts, pixels = shown(pictures.tiff(scaled(kind)), tmp_path)
    np.testing.assert_allclose(pixels[20, ::21].ravel().astype(int), [0, 85, 170, 255], atol=3)
    assert facts.depth == np.dtype(kind).itemsize * 8


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i1", "i2", "i4", "f4"])
def test_take_in_when_an_rgb_tiff_has_samples_of_any_type_then_scales_them(
    kind: str, tmp_path: Path
) -> None:
    _, pixels = shown(pictures.tiff(scaled(kind, _COLORS), photometric=2), tmp_path)
    linear_light = [0, 156, 213, 255]
    expected = linear_light if kind == "f4" else [0, 85, 170, 255]
    np.testing.assert_allclose(pixels[20, ::21, 1].astype(int), expected, atol=3)


def test_take_in_when_a_tiff_of_32_bits_has_alpha_then_scales_both(tmp_path: Path) -> None:
    samples = np.stack([scaled("u4"), scaled("u4", np.ones_like(_RAMP))], axis=-1)
    facts, pixels = shown(pictures.tiff(samples, extra=2), tmp_path)
    assert facts.has_alpha
    np.testing.assert_allclose(pixels[20, 63].astype(int), 255, atol=1)
    np.testing.assert_allclose(pixels[20, 21, 0].astype(int), 85, atol=2)


_REFUSED = {
    "ycbcr without jpeg": pictures.tiff(scaled("u1", _COLORS), photometric=6),
    "ycbcr with lzw": pictures.tiff(scaled("u1", _COLORS), photometric=6, compression=5),
    "gray of 0 to 255 in floats": pictures.tiff((_RAMP * 255).astype("f4")),
    "gray of doubles": pictures.tiff(_RAMP.astype("f8")),
    "gray of 64 bits": pictures.tiff(np.ones((48, 64), "u8")),
    "white is a signed zero": pictures.tiff(scaled("i1"), photometric=0),
    "white is a floating zero": pictures.tiff(scaled("f4"), photometric=0),
    "icc lab": pictures.tiff(scaled("u1", _COLORS), photometric=9),
    "raw sensor": pictures.tiff(scaled("u1"), photometric=32803),
    "linear raw": pictures.tiff(scaled("u2", _COLORS), photometric=34892),
    "cmyk in floats": pictures.tiff(np.ones((48, 64, 4), "f4"), photometric=5),
}


@pytest.mark.parametrize("name", _REFUSED)
def test_take_in_when_a_tiff_would_look_wrong_then_is_unsupported(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(MediaUnsupported):
        shown(_REFUSED[name], tmp_path)


def test_take_in_when_ycbcr_is_in_jpeg_then_is_shown(tmp_path: Path) -> None:
    data = pictures.encode(pictures.scene(), "tiff", compression="jpeg")
    _, pixels = shown(data, tmp_path)
    np.testing.assert_allclose(pixels[10, 10].astype(int), [230, 20, 30], atol=12)


# --- described color spaces ---------------------------------------------------------------------

_P3 = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
_SRGB = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def png(*chunks: tuple[bytes, bytes], image: pyvips.Image | None = None) -> bytes:
    data = pictures.encode(image or pictures.scene(), "png", keep=0)
    between = b"".join(pictures.chunk(kind, text) for kind, text in chunks)
    return data[:33] + between + data[33:]


def gamma(number: int) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", number)


def primaries(*numbers: int) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *numbers)


def codes(*numbers: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes(numbers)


def as_p3() -> NDArray[Any]:
    """The scene's samples taken for Display P3 by libvips' own profile, in sRGB."""
    return pictures.scene().icc_transform("srgb", input_profile="p3").numpy()


def raised(exponent: float) -> NDArray[Any]:
    """The scene's samples taken for powers of light, in sRGB."""
    light = (pictures.scene().numpy() / 255.0) ** exponent
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return coded * 255


_APPLIED = {
    "linear": ([gamma(100_000)], raised(1.0)),
    "gamma of 1.8": ([gamma(55_556)], raised(1.8)),
    "primaries of p3": ([primaries(*_P3)], as_p3()),
    "both": ([gamma(45_455), primaries(*_P3)], as_p3()),
    "codes of p3": ([codes(12, 13, 0, 1)], as_p3()),
    "codes before gamma": ([gamma(100_000), codes(12, 13, 0, 1)], as_p3()),
}
_UNCHANGED = {
    "nothing": [],
    "gamma of sRGB": [gamma(45_455)],
    "gamma and primaries of sRGB": [gamma(45_000), primaries(*_SRGB)],
    "gamma of zero": [gamma(0)],
    "gamma without end": [gamma(2**31)],
    "sRGB before gamma": [(b"sRGB", b"\0"), gamma(100_000)],
    "codes of sRGB": [codes(1, 13, 0, 1), gamma(100_000)],
    "codes left open": [codes(2, 2, 0, 1)],
    "primaries of nothing": [primaries(*[0] * 8)],
    "primaries on a line": [primaries(31270, 32900, *[30000, 30000] * 3)],
    "chunk of another size": [(b"gAMA", b"\0\1")],
}


@pytest.mark.parametrize("name", _APPLIED)
def test_take_in_when_a_png_describes_its_colors_then_they_are_applied(
    name: str, tmp_path: Path
) -> None:
    chunks, expected = _APPLIED[name]
    facts, pixels = shown(png(*chunks), tmp_path)
    np.testing.assert_allclose(pixels.astype(int), expected, atol=3)
    assert not facts.has_icc
    assert np.abs(pixels.astype(int) - pictures.scene().numpy()).max() > 8, "nothing was applied"


@pytest.mark.parametrize("name", _UNCHANGED)
def test_take_in_when_a_png_is_in_srgb_then_is_unchanged(name: str, tmp_path: Path) -> None:
    _, pixels = shown(png(*_UNCHANGED[name]), tmp_path)
    np.testing.assert_array_equal(pixels, pictures.scene().numpy())


def test_take_in_when_a_gray_png_has_a_gamma_then_it_is_applied(tmp_path: Path) -> None:
    gray = pictures.scene().colourspace("b-w")
    _, pixels = shown(png(gamma(100_000), image=gray), tmp_path)
    light = gray.numpy().reshape(48, 64) / 255.0
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    np.testing.assert_allclose(pixels.reshape(48, 64, -1)[..., 0].astype(int), coded, atol=3)


@pytest.mark.parametrize(
    "chunk",
    [
        codes(9, 16, 0, 1),
        codes(9, 18, 0, 1),
        codes(1, 13, 1, 1),
        codes(1, 13, 0, 0),
        codes(7, 77, 0, 1),
    ],
)
def test_take_in_when_a_png_cannot_be_converted_then_is_unsupported(
    chunk: tuple[bytes, bytes], tmp_path: Path
) -> None:
    with pytest.raises(MediaUnsupported):
        shown(png(chunk), tmp_path)


def avif(primaries: int, transfer: int) -> bytes:
    """An AVIF whose directory tells its colors by numbers."""
    data = bytearray(pictures.picture("avif"))
    told = pictures.box(b"colr", b"nclx" + struct.pack(">HHHB", primaries, transfer, 6, 0x80))
    places = [data.index(kind) - 4 for kind in (b"meta", b"iprp", b"ipco")]
    end = places[-1] + int.from_bytes(data[places[-1] :][:4], "big")
    pixels = struct.pack(">I", data.index(b"mdat") + 4)
    located = data.index(pixels, data.index(b"iloc"))
    for place in (*places, located):
        moved = int.from_bytes(data[place : place + 4], "big") + len(told)
        data[place : place + 4] = struct.pack(">I", moved)
    return bytes(data[:end] + told + data[end:])


def test_take_in_when_an_avif_tells_its_colors_by_numbers_then_applies_or_refuses_them(
    tmp_path: Path,
) -> None:
    _, plain = shown(avif(1, 13), tmp_path)
    np.testing.assert_allclose(plain[4, 4].astype(int), [230, 20, 30], atol=12)
    _, wide = shown(avif(12, 13), tmp_path)
    np.testing.assert_allclose(wide[4, 4].astype(int), as_p3()[4, 4], atol=12)
    assert wide[4, 4, 0] > plain[4, 4, 0] + 10
    with pytest.raises(MediaUnsupported, match="HDR"):
        shown(avif(9, 16), tmp_path)


def test_reshape_and_reference_when_a_png_describes_its_colors_then_apply_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "picture"
    path.write_bytes(png(gamma(100_000)))
    wanted = VariantOrder(32, 24, False, Format.PNG, 80)
    made, again = reshape(path, tmp_path, wanted), reshape(path.read_bytes(), None, wanted)
    assert pictures.data_of(made) == pictures.data_of(again)
    pixels = pyvips.Image.new_from_buffer(pictures.data_of(made), "").numpy()
    expected = raised(1.0)
    np.testing.assert_allclose(pixels[4, 4].astype(int), expected[8, 8], atol=4)
    top = reference.read(path).palette[0]
    assert abs(int(top[1:3], 16) - expected[:24, :, 0].mean()) < 6
