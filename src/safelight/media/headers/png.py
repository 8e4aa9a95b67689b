"""Reads a PNG's chunks: size, interlacing, an APNG's frames, and the color space.

Structure: https://www.w3.org/TR/png-3/.
"""

import struct
from collections.abc import Iterator
from itertools import takewhile
from typing import BinaryIO

from safelight.media.errors import MediaError, MediaUnsupported
from safelight.media.headers.color import (
    SRGB_CURVE,
    SRGB_PRIMARIES,
    UNSPECIFIED,
    Color,
    Curve,
    of_codes,
    plain,
)
from safelight.media.headers.shape import Shape, take, unpack

_FIRST_CHUNK = 33  # after the signature and the header
_CHUNK_FRAME = 12  # length, kind and checksum
_MAX_CHUNKS = 64  # before the image data, searched for the number of frames
_MAX_FRAME_CHUNKS = 100_000  # the chunks of an APNG
_CONTROL_BYTES = 8  # of acTL
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by color type
# The chunks that describe the color space, each with its size: the first one there decides.
_CODES, _PROFILE, _SRGB, _GAMMA, _PRIMARIES = b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"
_SIZES = {_CODES: 4, _SRGB: 1, _GAMMA: 4, _PRIMARIES: 32}
_UNIT = 100_000  # of gamma and chromaticities
_GAMMAS = range(10_000, 1_000_001)  # others make no sense
_SRGB_GAMMA = 45_455
_NEAR_GAMMA, _NEAR_PRIMARY = 1000, 0.005  # no visible difference
_LEAST_AREA = 0.01  # a gamut that is no triangle cannot be converted
_PALETTE = 3
_PALETTE_BYTES = 4  # per pixel, after the palette lookup


def read(file: BinaryIO) -> Shape:
    """Return the shape; `frames` counts those of an APNG, of which only the first is shown."""
    if take(file, 12, 4) != b"IHDR":
        raise MediaError("The PNG does not begin with its header.")
    width, height, depth, kind, _, _, interlace = unpack(file, ">II5B", 16)
    held = _pixel_bytes(depth, kind) if interlace else 0
    return Shape(width, height, held, _frames(file))


def _pixel_bytes(depth: int, kind: int) -> int:
    return _PALETTE_BYTES if kind == _PALETTE else _SAMPLES.get(kind, 4) * max(1, depth // 8)


def _frames(file: BinaryIO) -> int:
    """Return the number of frames; 1 for an APNG that has not as many as it says."""
    for kind, offset, size in chunks(file, _MAX_CHUNKS):
        if kind == b"IDAT":
            return 1
        if kind == b"acTL" and size == _CONTROL_BYTES:
            (told,) = unpack(file, ">I", offset)
            found = sum(kind == b"fcTL" for kind, _, _ in chunks(file, _MAX_FRAME_CHUNKS))
            return max(told, 1) if told == found else 1
    return 1


def chunks(file: BinaryIO, most: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, offset and size of the data of the chunks behind the header."""
    offset = _FIRST_CHUNK
    for _ in range(most):
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8:  # noqa: PLR2004  length and kind
            return
        size = int.from_bytes(head[:4], "big")
        yield head[4:], offset + 8, size
        offset += size + _CHUNK_FRAME


def read_color(file: BinaryIO) -> Color | None:
    """Return the color space that is described without a profile; None for sRGB.

    Raises `MediaUnsupported` for one that cannot be shown.
    """
    found = {
        kind: take(file, offset, _SIZES[kind])
        for kind, offset, size in _before_pixels(file)
        if size == _SIZES.get(kind)
    }
    if codes := found.get(_CODES):
        primaries, transfer, matrix, is_full_range = codes
        if matrix or not is_full_range:
            raise MediaUnsupported("The picture's samples are not full-range RGB.")
        if UNSPECIFIED not in (primaries, transfer):
            return of_codes(primaries, transfer)
    if _SRGB in found or any(kind == _PROFILE for kind, _, _ in _before_pixels(file)):
        return None
    return plain(_primaries(found.get(_PRIMARIES)), _curve(found.get(_GAMMA)))


def _before_pixels(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    return takewhile(lambda chunk: chunk[0] != b"IDAT", chunks(file, _MAX_CHUNKS))


def _curve(data: bytes | None) -> Curve:
    gamma = int.from_bytes(data, "big") if data else _SRGB_GAMMA
    if gamma not in _GAMMAS or abs(gamma - _SRGB_GAMMA) <= _NEAR_GAMMA:
        return SRGB_CURVE
    return Curve(_UNIT / gamma)


def _primaries(data: bytes | None) -> tuple[float, ...]:
    if data is None:
        return SRGB_PRIMARIES
    found = tuple(number / _UNIT for number in struct.unpack(">8I", data))
    pairs = zip(found, SRGB_PRIMARIES, strict=True)
    if all(abs(one - other) <= _NEAR_PRIMARY for one, other in pairs):
        return SRGB_PRIMARIES
    is_possible = all(0 < y <= 1 for y in found[1::2]) and all(0 <= x <= 1 for x in found[::2])
    return found if is_possible and _area(found[2:]) > _LEAST_AREA else SRGB_PRIMARIES


def _area(triangle: tuple[float, ...]) -> float:
    """Return twice the area of the triangle of red, green and blue."""
    rx, ry, gx, gy, bx, by = triangle
    return abs((gx - rx) * (by - ry) - (bx - rx) * (gy - ry))
