"""Reads a JPEG's markers: size, number of scans, and decoder memory if it is progressive."""

import re
from collections.abc import Iterator
from typing import BinaryIO

from safelight.media.errors import MediaError, MediaTooManyPixels, MediaTruncated
from safelight.media.headers.shape import Shape, take, unpack

_MAX_SEGMENTS = 2048  # before the frame header
_MAX_SCANS = 100  # encoders write ten
# Each scan of a progressive JPEG visits every pixel again, however little data it has.
_MAX_SCANNED_PIXELS = 1_000_000_000

_PIECE_BYTES = 2**16
_MARK = b"\xff"
# Decoders skip stray bytes, fill bytes (0xFF) and stuffed zeros before a marker.
_ANY_MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_SCAN_MARKER = re.compile(rb"\xff([\xda\xd9])")
# Start of frame, in any coding; the excluded values are tables or reserved.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_IMAGE_MARKERS = frozenset({_START_OF_SCAN, _END_OF_IMAGE})
_LONE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})  # without a length
_COEFFICIENT_BYTES = 2


def read(file: BinaryIO) -> Shape:
    """Return the shape; raise `MediaTooManyPixels` if the scans cost too much to decode."""
    offset = 2
    for _ in range(_MAX_SEGMENTS):
        marker, offset = next(_markers(file, offset, _ANY_MARKER), (_END_OF_IMAGE, -1))
        if offset < 0:
            raise MediaTruncated
        if marker in _FRAME_MARKERS:
            return _frame(file, marker, offset)
        if marker in _IMAGE_MARKERS:
            break
        if marker not in _LONE_MARKERS:
            (length,) = unpack(file, ">H", offset)
            offset += max(length, 2)
    raise MediaError("The JPEG does not tell its size.")


def _markers(file: BinaryIO, offset: int, wanted: re.Pattern[bytes]) -> Iterator[tuple[int, int]]:
    """Yield each wanted marker from `offset` on, and the offset behind it."""
    file.seek(offset)
    kept = b""
    while piece := file.read(_PIECE_BYTES):
        data = kept + piece
        for found in wanted.finditer(data):
            yield found[1][0], offset + found.end()
        kept = _MARK if data.endswith(_MARK) else b""
        offset += len(data) - len(kept)


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
    count = 0
    for marker, _ in _markers(file, start, _SCAN_MARKER):
        if marker == _END_OF_IMAGE or count > _MAX_SCANS:
            break
        count += 1
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
