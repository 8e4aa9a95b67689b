"""Reads a JPEG's markers: size, number of scans, and decoder memory if it is progressive."""

import mmap
from typing import BinaryIO

from safelight.media.errors import MediaError, MediaTooManyPixels
from safelight.media.headers.shape import Shape, take, unpack

_MAX_SEGMENTS = 2048  # before the frame header
_MAX_SCANS = 100  # encoders write ten
# Each scan of a progressive JPEG visits every pixel again, however little data it has.
_MAX_SCANNED_PIXELS = 1_000_000_000

_MARK = 0xFF
_MAX_FILLERS = 16  # fill bytes before a marker
# Start of frame, in any coding; the excluded values are tables or reserved.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_IMAGE_MARKERS = frozenset({0xD9, 0xDA})  # end of image, start of scan
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
_LONE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})  # without a length
_COEFFICIENT_BYTES = 2


def read(file: BinaryIO) -> Shape:
    """Return the shape; raise `MediaTooManyPixels` if the scans cost too much to decode."""
    offset = 2
    for _ in range(_MAX_SEGMENTS):
        marker, offset = _marker(file, offset)
        if marker in _FRAME_MARKERS:
            return _frame(file, marker, offset)
        if marker in _IMAGE_MARKERS:
            break
        if marker not in _LONE_MARKERS:
            (length,) = unpack(file, ">H", offset)
            offset += max(length, 2)
    raise MediaError("The JPEG does not tell its size.")


def _marker(file: BinaryIO, offset: int) -> tuple[int, int]:
    data = take(file, offset, 2)
    if data[0] != _MARK:
        raise MediaError("The JPEG is damaged.")
    for filler in range(_MAX_FILLERS):
        if data[1] != _MARK:
            return data[1], offset + filler + 2
        data = take(file, offset + filler + 1, 2)
    raise MediaError("The JPEG is damaged.")


def _frame(file: BinaryIO, marker: int, offset: int) -> Shape:
    height, width, components = unpack(file, ">HHB", offset + 3)
    scans = _scans(file, offset)
    if scans <= 1 and marker not in _PROGRESSIVE:
        return Shape(width, height)  # decoded row by row
    _check_scans(width * height, scans)
    return Shape(width, height, _coefficients(file, offset + 8, components))


def _scans(file: BinaryIO, start: int) -> int:
    """Count the scans between the frame's header and the end of this picture."""
    # Neither marker can occur inside coded data. Other pictures in the file, in its metadata or
    # after the end of image, are ignored.
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end = data.find(_END_OF_IMAGE, start)
        end = end if end >= 0 else len(data)
        count, at = 0, data.find(_START_OF_SCAN, start, end)
        while at >= 0 and count <= _MAX_SCANS:
            count, at = count + 1, data.find(_START_OF_SCAN, at + 2, end)
        return count


def _check_scans(pixels: int, scans: int) -> None:
    if scans > _MAX_SCANS:
        raise MediaError(f"The JPEG has more than {_MAX_SCANS} scans.")
    if pixels * scans > _MAX_SCANNED_PIXELS:
        raise MediaTooManyPixels(
            f"{scans} scans of {pixels} pixels are more than {_MAX_SCANNED_PIXELS} pixels."
        )


def _coefficients(file: BinaryIO, offset: int, components: int) -> float:
    """Return the coefficients' size in bytes per pixel, from each component's sampling."""
    data = take(file, offset, 3 * components)
    areas = [(data[at] >> 4) * (data[at] & 15) for at in range(1, len(data), 3)]
    return _COEFFICIENT_BYTES * sum(areas) / max([*areas, 1])
