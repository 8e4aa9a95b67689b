"""Reads a GIF's size: its canvas, which decoders enlarge to the first frame."""

from typing import BinaryIO

from safelight.media.headers.shape import Shape, take, unpack

_MAX_BLOCKS = 4096  # before the first frame
_FRAME, _EXTENSION = b"\x2c", b"\x21"
_HELD = 8.0  # bytes per pixel, measured: the canvas and the previous frame


def read(file: BinaryIO) -> Shape:
    """Return the shape; the number of frames is not counted."""
    width, height, flags = unpack(file, "<HHB", 6)
    table = 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
    across, down = _first_frame(file, 13 + table)
    return Shape(max(width, across), max(height, down), _HELD)


def _first_frame(file: BinaryIO, offset: int) -> tuple[int, int]:
    """Return the right and lower edges of the first frame; zeros if it is far away."""
    in_extension = False
    for _ in range(_MAX_BLOCKS):
        kind = take(file, offset, 1)
        if in_extension:  # sub-blocks, and an empty one at the end
            offset += kind[0] + 1
            in_extension = kind != b"\0"
        elif kind == _FRAME:
            left, top, width, height = unpack(file, "<4H", offset + 1)
            return left + width, top + height
        elif kind == _EXTENSION:
            offset += 2
            in_extension = True
        else:
            break
    return 0, 0
