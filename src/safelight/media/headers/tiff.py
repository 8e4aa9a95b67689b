"""Reads a TIFF's first directory: size, and whether planes or tall strips need extra memory."""

from typing import BinaryIO

from safelight.media.errors import MediaError, MediaUnsupported
from safelight.media.headers.shape import Shape, take, unpack

_MAX_ENTRIES = 4096
_BIG = 43  # the version number
_SHORT, _LONG8 = 3, 16  # field types
_COMPRESSION, _PHOTOMETRIC, _SAMPLE_FORMAT = 259, 262, 339
_WIDTH, _HEIGHT, _DEPTH, _SAMPLES, _ROWS_A_STRIP = 256, 257, 258, 277, 278
_TILE_HEIGHT = 323
_WANTED = frozenset(
    {
        _WIDTH,
        _HEIGHT,
        _DEPTH,
        _COMPRESSION,
        _PHOTOMETRIC,
        _SAMPLES,
        _ROWS_A_STRIP,
        _TILE_HEIGHT,
        _SAMPLE_FORMAT,
    }
)
_WHITE_IS_ZERO, _YCBCR = 0, 6  # photometric interpretations
_JPEGS = frozenset({6, 7})  # compressions whose decoder converts YCbCr
_UNSIGNED = frozenset({1, 4})  # sample formats; 4 is undefined
_TALL = 512  # rows from which a strip or tile counts as kept in memory
_MAX_DEPTH, _MAX_SAMPLES = 64, 8


def read(file: BinaryIO) -> Shape:
    """Return the shape of the first page.

    Raises `MediaUnsupported` for colors that the decoder would show wrongly.
    """
    order = "<" if take(file, 0, 2) == b"II" else ">"
    (version,) = unpack(file, order + "H", 2)
    tags = _directory(file, order, big=version == _BIG)
    _check_colors(tags)
    width, height = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    rows = tags.get(_TILE_HEIGHT) or tags.get(_ROWS_A_STRIP, height)
    held = _pixel_bytes(tags) if min(rows, height) > _TALL else 0
    return Shape(width, height, held)


def _check_colors(tags: dict[int, int]) -> None:
    photometric = tags.get(_PHOTOMETRIC)
    if photometric == _YCBCR and tags.get(_COMPRESSION, 1) not in _JPEGS:
        raise MediaUnsupported("A TIFF in YCbCr is supported only with JPEG compression.")
    is_signed = tags.get(_SAMPLES, 1) == 1 and tags.get(_SAMPLE_FORMAT, 1) not in _UNSIGNED
    if photometric == _WHITE_IS_ZERO and is_signed:
        raise MediaUnsupported(
            "A TIFF whose signed or floating-point zero is white is unsupported."
        )


def _directory(file: BinaryIO, order: str, *, big: bool) -> dict[int, int]:
    """Return the first value of each tag in `_WANTED`."""
    (offset,) = unpack(file, order + ("Q" if big else "I"), 8 if big else 4)
    (count,) = unpack(file, order + ("Q" if big else "H"), offset)
    if count > _MAX_ENTRIES:
        raise MediaError("The TIFF's directory is too long.")
    step, value_at = (20, 12) if big else (12, 8)
    start = offset + (8 if big else 2)
    tags: dict[int, int] = {}
    for entry in range(start, start + count * step, step):
        tag, kind = unpack(file, order + "HH", entry)
        if tag in _WANTED:
            layout = {_SHORT: "H", _LONG8: "Q" if big else "I"}.get(kind, "I")
            (tags[tag],) = unpack(file, order + layout, entry + value_at)
    return tags


def _pixel_bytes(tags: dict[int, int]) -> float:
    # The depths of several samples are stored elsewhere in the file; assume 16 bits then.
    samples = min(max(tags.get(_SAMPLES, 1), 1), _MAX_SAMPLES)
    inline = tags.get(_DEPTH, 1)
    depth = inline if inline <= _MAX_DEPTH else 16
    return samples * max(1, depth / 8)
