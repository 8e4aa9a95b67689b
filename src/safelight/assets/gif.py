"""Tells whether a GIF ends where its blocks say; libvips forgives that once a frame is whole."""

import mmap
from pathlib import Path

_HEADER = 13  # bytes up to the global colour table
_DESCRIPTOR = 10


def is_whole(path: Path) -> bool:
    """Say whether no block is cut; a file that only lacks its last byte counts as whole."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _walk(data)
        except IndexError:
            return False


def _walk(data: mmap.mmap) -> bool:
    offset = _HEADER + _color_table(data[10])
    while offset < len(data):
        match data[offset]:
            case 0x2C:  # an image: descriptor, colour table, code size, data
                table = _color_table(data[offset + _DESCRIPTOR - 1])
                offset = _skip(data, offset + _DESCRIPTOR + table + 1)
            case 0x21:  # an extension: its kind, data
                offset = _skip(data, offset + 2)
            case _:  # the trailer, or what decoders take for one
                return True
    return offset == len(data)


def _color_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _skip(data: mmap.mmap, offset: int) -> int:
    """Return where the sub-blocks that begin at `offset` end."""
    while length := data[offset]:
        offset += length + 1
    return offset + 1
