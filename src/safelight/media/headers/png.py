"""Reads a PNG's chunks before its image data: size, interlacing, and an APNG's frames.

Structure: https://www.w3.org/TR/png-3/.
"""

from typing import BinaryIO

from safelight.media.errors import MediaError
from safelight.media.headers.shape import Shape, take, unpack

_FIRST_CHUNK = 33  # after the signature and the header
_CHUNK_FRAME = 12  # length, kind and checksum
_MAX_CHUNKS = 64  # searched for the number of frames
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
    offset = _FIRST_CHUNK
    for _ in range(_MAX_CHUNKS):
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IDAT":  # noqa: PLR2004  length and kind
            return 1
        if head[4:] == b"acTL":
            return max(1, unpack(file, ">I", offset + 8)[0])
        offset += int.from_bytes(head[:4], "big") + _CHUNK_FRAME
    return 1
