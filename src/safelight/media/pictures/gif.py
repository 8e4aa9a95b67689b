"""Reads a GIF's blocks without decoding: detects truncation, and copies without metadata.

libvips accepts a truncated file once a frame is complete, and re-encoding a long animation takes
half a minute, so both work on the blocks. Structure: the GIF89a specification.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from safelight.media.errors import reading
from safelight.media.source import Source, mapped

_HEADER = 13  # bytes up to the global color table
_DESCRIPTOR = 10
_FLAGS_AT = 10
_TRAILER = b"\x3b"
_Data = mmap.mmap | bytes
_IMAGE, _EXTENSION = 0x2C, 0x21
_CONTROL, _APPLICATION = 0xF9, 0xFF  # extension labels: delay and disposal; application data
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")  # application blocks with the loop count


@dataclass(frozen=True, slots=True)
class _Block:
    start: int
    end: int
    is_picture: bool


@reading()
def is_whole(source: Source) -> bool:
    """Return whether all blocks are complete; a missing last byte is tolerated."""
    with mapped(source) as data:
        try:
            return all(block.end <= len(data) for block in _blocks(data))
        except IndexError:
            return False


@reading()
def strip(source: Source, copy: BinaryIO) -> None:
    """Copy a complete GIF's frames and timing: no comments, no metadata, no trailing data."""
    with mapped(source) as data:
        copy.write(data[: _first_block(data)])
        for block in _blocks(data):
            if block.is_picture:
                copy.write(data[block.start : block.end])
        copy.write(_TRAILER)


def _blocks(data: _Data) -> Iterator[_Block]:
    """Yield blocks up to the trailer or an unknown byte; `IndexError` if one is truncated."""
    start = _first_block(data)
    while start < len(data):
        if data[start] == _IMAGE:  # descriptor, color table, code size, data
            table = _color_table(data[start + _DESCRIPTOR - 1])
            end = _skip(data, start + _DESCRIPTOR + table + 1)
        elif data[start] == _EXTENSION:  # kind, data
            end = _skip(data, start + 2)
        else:
            return
        yield _Block(start, end, _is_picture(data, start))
        start = end


def _is_picture(data: _Data, start: int) -> bool:
    if data[start] == _IMAGE or data[start + 1] == _CONTROL:
        return True
    return data[start + 1] == _APPLICATION and data[start + 3 : start + 14] in _LOOPS


def _first_block(data: _Data) -> int:
    return _HEADER + _color_table(data[_FLAGS_AT])


def _color_table(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _skip(data: _Data, offset: int) -> int:
    """Return the end of the sub-blocks that start at `offset`."""
    while length := data[offset]:
        offset += length + 1
    return offset + 1
