"""What a header tells a decoder's memory needs from, and how its bytes are read safely."""

import struct
from typing import BinaryIO, NamedTuple

from safelight.media.errors import MediaError, MediaTruncated


class Shape(NamedTuple):
    """Width and height in pixels as stored, before any orientation.

    `held` is how many bytes a pixel a decoder keeps until the end, beyond the finished picture: 0
    where it reads row by row. `frames` is what the header says of an animation.
    """

    width: int
    height: int
    held: float = 0
    frames: int = 1


def unpack(file: BinaryIO, layout: str, offset: int) -> tuple[int, ...]:
    """Return the numbers at `offset`; raise `MediaTruncated` where the file is too short."""
    return struct.unpack(layout, take(file, offset, struct.calcsize(layout)))


def take(file: BinaryIO, offset: int, size: int) -> bytes:
    """Return `size` bytes at `offset`; raise `MediaTruncated` where the file is too short."""
    try:
        file.seek(offset)
    except (OverflowError, OSError):  # an offset beyond what any file system holds
        raise MediaError("The header points outside the file.") from None
    data = file.read(size)
    if len(data) < size:
        raise MediaTruncated
    return data
