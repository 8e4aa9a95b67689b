"""Reads the size of an AVIF or HEIC from its boxes (ISO/IEC 23008-12)."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from safelight.media.errors import MediaError
from safelight.media.headers.color import UNSPECIFIED, Color, of_codes
from safelight.media.headers.shape import Shape, take

_MAX_BOXES = 64  # before the `meta` box
_MAX_META_BYTES = 2**20
_BOX_HEAD = 8  # length and kind
_ISPE_BYTES = 12
_NCLX_BYTES = 8
# Bytes per pixel, measured: the decoder's frames, the same in full color, and libvips' own.
_HELD, _HELD_DEEP = 17.0, 22.0
_AV1_DEEP = 0x40  # in the third byte of `av1C`: more than 8 bits per sample


def read(file: BinaryIO) -> Shape:
    """Return the shape of the primary picture."""
    meta = _meta(file)
    sizes: list[tuple[int, int]] = []
    held = _HELD
    for kind, inside in _properties(meta[4:]):  # a full box: four bytes of version and flags
        if kind == b"ispe" and len(inside) >= _ISPE_BYTES:
            sizes.append(struct.unpack(">II", inside[4:_ISPE_BYTES]))
        elif kind == b"av1C" and any(byte & _AV1_DEEP for byte in inside[2:3]):
            held = _HELD_DEEP
    if not sizes:
        raise MediaError("The file does not tell the picture's size.")
    # Tiles and the alpha plane have extents of their own; the whole picture is the largest.
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Shape(width, height, held)


def read_color(file: BinaryIO) -> Color | None:
    """Return the color space of the first picture that tells one by numbers; None for sRGB.

    Raises `MediaUnsupported` for one that cannot be shown.
    """
    for kind, inside in _properties(_meta(file)[4:]):
        if kind == b"colr" and inside[:4] == b"nclx" and len(inside) >= _NCLX_BYTES:
            primaries, transfer = struct.unpack(">HH", inside[4:8])
            return None if UNSPECIFIED in (primaries, transfer) else of_codes(primaries, transfer)
    return None


def _meta(file: BinaryIO) -> bytes:
    offset = 0
    for _ in range(_MAX_BOXES):
        length, kind = _head(take(file, offset, _BOX_HEAD))
        if kind == b"meta":
            size = min(max(length - _BOX_HEAD, 4), _MAX_META_BYTES)
            return take(file, offset + _BOX_HEAD, size)
        if length < _BOX_HEAD:
            break
        offset += length
    raise MediaError("The file does not begin with its directory.")


def _properties(boxes: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the properties of all pictures, found in `ipco` inside `iprp`."""
    for kind, inside in _boxes(boxes):
        if kind == b"iprp":
            for deeper, properties in _boxes(inside):
                if deeper == b"ipco":
                    yield from _boxes(properties)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset = 0
    while offset + _BOX_HEAD <= len(data):
        length, kind = _head(data[offset : offset + _BOX_HEAD])
        if length < _BOX_HEAD:
            return
        yield kind, data[offset + _BOX_HEAD : offset + length]
        offset += length


def _head(head: bytes) -> tuple[int, bytes]:
    return int.from_bytes(head[:4], "big"), head[4:]
