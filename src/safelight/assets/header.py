"""Reads a picture's format and size from its header in pure Python, before a decoder sees it."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from safelight.errors import MediaEmpty, MediaError, MediaTruncated, MediaUnsupported
from safelight.fetch.sniff import HEAD_BYTES, sniff

FORMATS = {
    "image/jpeg": "jpeg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "image/tiff": "tiff",
}

_MAX_SEGMENTS = 2048  # of a JPEG before its size is told
_MAX_ENTRIES = 4096  # of a TIFF directory
_MAX_BOXES = 64  # of an AVIF file before its `meta` box
_MAX_META_BYTES = 2**20

_MARK = 0xFF
_MAX_FILLERS = 16  # of that byte before a JPEG marker
# Start of frame, whatever the coding; those left out are tables and reserved.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_IMAGE_MARKERS = frozenset({0xD9, 0xDA})  # end of image, start of scan
_LONE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})  # without a length
_BIG_TIFF = 43  # its version number
_SHORT = 3  # TIFF's type of a 16-bit number
_WIDTH_TAG, _HEIGHT_TAG = 256, 257
_BOX_HEAD = 8  # length and kind of an AVIF box
_ISPE_BYTES = 12


class Header(NamedTuple):
    """What the first bytes say: width and height in pixels as stored, before any orientation."""

    format: str
    width: int
    height: int


def read_header(path: Path) -> Header:
    """Return the header of the picture at `path`.

    Raises `MediaEmpty`, `MediaUnsupported`, `MediaTruncated` or `MediaError`.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if not head:
            raise MediaEmpty
        form = FORMATS.get(sniff(head) or "")
        if form is None:
            raise MediaUnsupported
        width, height = _READERS[form](file)
    if width < 1 or height < 1:
        raise MediaError("The picture has no pixels.")
    return Header(form, width, height)


def _png(file: BinaryIO) -> tuple[int, int]:
    if _take(file, 12, 4) != b"IHDR":
        raise MediaError("The PNG does not begin with its header.")
    return _pair(file, ">II", 16)


def _gif(file: BinaryIO) -> tuple[int, int]:
    return _pair(file, "<HH", 6)


def _webp(file: BinaryIO) -> tuple[int, int]:
    kind = _take(file, 12, 4)
    if kind == b"VP8X":  # extended: a canvas of 24 bits a side, less one
        data = _take(file, 24, 6)
        return int.from_bytes(data[:3], "little") + 1, int.from_bytes(data[3:], "little") + 1
    if kind == b"VP8L":  # lossless: 14 bits a side, less one, after a signature byte
        bits = int.from_bytes(_take(file, 21, 4), "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"VP8 ":  # lossy: 14 bits a side and 2 of scale, after frame tag and start code
        width, height = _unpack(file, "<HH", 26)
        return width & 0x3FFF, height & 0x3FFF
    raise MediaError("The WebP does not begin with its picture.")


def _jpeg(file: BinaryIO) -> tuple[int, int]:
    offset = 2
    for _ in range(_MAX_SEGMENTS):
        marker, offset = _jpeg_marker(file, offset)
        if marker in _FRAME_MARKERS:
            height, width = _unpack(file, ">HH", offset + 3)
            return width, height
        if marker in _IMAGE_MARKERS:
            break
        if marker not in _LONE_MARKERS:
            (length,) = _unpack(file, ">H", offset)
            offset += max(length, 2)
    raise MediaError("The JPEG does not tell its size.")


def _jpeg_marker(file: BinaryIO, offset: int) -> tuple[int, int]:
    data = _take(file, offset, 2)
    if data[0] != _MARK:
        raise MediaError("The JPEG is damaged.")
    for filler in range(_MAX_FILLERS):
        if data[1] != _MARK:
            return data[1], offset + filler + 2
        data = _take(file, offset + filler + 1, 2)
    raise MediaError("The JPEG is damaged.")


def _tiff(file: BinaryIO) -> tuple[int, int]:
    order = "<" if _take(file, 0, 2) == b"II" else ">"
    (version,) = _unpack(file, order + "H", 2)
    big = version == _BIG_TIFF
    (offset,) = _unpack(file, order + ("Q" if big else "I"), 8 if big else 4)
    (count,) = _unpack(file, order + ("Q" if big else "H"), offset)
    if count > _MAX_ENTRIES:
        raise MediaError("The TIFF's directory is too long.")
    step, value_at = (20, 12) if big else (12, 8)
    start = offset + (8 if big else 2)
    width, height = 0, 0
    for entry in range(start, start + count * step, step):
        tag, kind = _unpack(file, order + "HH", entry)
        if tag in {_WIDTH_TAG, _HEIGHT_TAG}:
            (size,) = _unpack(file, order + ("H" if kind == _SHORT else "I"), entry + value_at)
            width, height = (size, height) if tag == _WIDTH_TAG else (width, size)
    return width, height


def _avif(file: BinaryIO) -> tuple[int, int]:
    meta = _avif_meta(file)
    sizes = list(_extents(meta[4:]))  # a full box: four bytes of version and flags
    if not sizes:
        raise MediaError("The AVIF does not tell its size.")
    # Tiles and the alpha plane have extents of their own; the whole picture is the largest.
    return max(sizes, key=lambda size: size[0] * size[1])


def _avif_meta(file: BinaryIO) -> bytes:
    offset = 0
    for _ in range(_MAX_BOXES):
        length, kind = _unpack_box(_take(file, offset, 8))
        if kind == b"meta":
            return _take(file, offset + 8, min(max(length - 8, 4), _MAX_META_BYTES))
        if length < _BOX_HEAD:
            break
        offset += length
    raise MediaError("The AVIF does not begin with its directory.")


def _extents(boxes: bytes) -> Iterator[tuple[int, int]]:
    """Yield the sizes in the `ispe` boxes among and inside `boxes`."""
    offset = 0
    while offset + _BOX_HEAD <= len(boxes):
        length, kind = _unpack_box(boxes[offset : offset + _BOX_HEAD])
        if length < _BOX_HEAD:
            return
        inside = boxes[offset + _BOX_HEAD : offset + length]
        if kind == b"ispe" and len(inside) >= _ISPE_BYTES:
            yield struct.unpack(">II", inside[4:_ISPE_BYTES])
        elif kind in {b"iprp", b"ipco"}:
            yield from _extents(inside)
        offset += length


def _unpack_box(head: bytes) -> tuple[int, bytes]:
    return int.from_bytes(head[:4], "big"), head[4:8]


_READERS = {"jpeg": _jpeg, "png": _png, "webp": _webp, "gif": _gif, "avif": _avif, "tiff": _tiff}


def _pair(file: BinaryIO, layout: str, offset: int) -> tuple[int, int]:
    first, second = _unpack(file, layout, offset)
    return first, second


def _unpack(file: BinaryIO, layout: str, offset: int) -> tuple[int, ...]:
    return struct.unpack(layout, _take(file, offset, struct.calcsize(layout)))


def _take(file: BinaryIO, offset: int, size: int) -> bytes:
    try:
        file.seek(offset)
    except (OverflowError, OSError):  # an offset beyond what any file system holds
        raise MediaError("The header points outside the file.") from None
    data = file.read(size)
    if len(data) < size:
        raise MediaTruncated
    return data
