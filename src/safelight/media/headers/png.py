"""Reads a PNG's chunks: size, interlacing, and an APNG's frames.

Structure: https://www.w3.org/TR/png-3/.
"""

from collections.abc import Iterator
from typing import BinaryIO

from safelight.media.errors import MediaError
from safelight.media.headers.shape import Shape, take, unpack

_FIRST_CHUNK = 33  # after the signature and the header
_CHUNK_FRAME = 12  # length, kind and checksum
_MAX_CHUNKS = 64  # before the image data, searched for the number of frames
_MAX_FRAME_CHUNKS = 100_000  # the chunks of an APNG
_CONTROL_BYTES = 8  # of acTL
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by color type
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
