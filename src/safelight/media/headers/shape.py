"""Image dimensions and decoder memory, and safe reads from a file header."""

import struct
from typing import BinaryIO, NamedTuple

from safelight.media.errors import MediaError, MediaTruncated


class Shape(NamedTuple):
    """Width and height in pixels as stored, before any orientation.

    `held` is how many bytes per pixel a decoder keeps until the end, beyond the decoded picture: 0
    if it reads row by row. `frames` is the number that the header declares.
    """

    width: int
    height: int
    held: float = 0
    frames: int = 1


def unpack(file: BinaryIO, layout: str, offset: int) -> tuple[int, ...]:
    """Return the numbers at `offset`; raise `MediaTruncated` if the file is too short."""
    return struct.unpack(layout, take(file, offset, struct.calcsize(layout)))


def take(file: BinaryIO, offset: int, size: int) -> bytes:
    """Return `size` bytes at `offset`; raise `MediaTruncated` if the file is too short."""
    try:
        file.seek(offset)
    except (OverflowError, ValueError, OSError):  # an offset larger than any file
        raise MediaError("The header points outside the file.") from None
    data = file.read(size)
    if len(data) < size:
        raise MediaTruncated
    return data
