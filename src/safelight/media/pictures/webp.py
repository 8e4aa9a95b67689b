"""Copies an animated WebP without its metadata, chunk by chunk; re-encoding takes too long.

Structure: RFC 9649. The color profile is kept, because the frames' colors depend on it.
"""

from collections.abc import Iterator
from typing import BinaryIO

from safelight.media.errors import reading
from safelight.media.source import Source, opened

_RIFF_HEAD = 12
_CHUNK_HEAD = 8
_KEPT = frozenset({b"VP8X", b"ICCP", b"ANIM", b"ANMF"})
_METADATA_FLAGS = 0x08 | 0x04  # EXIF and XMP, in the first byte of VP8X
_PIECE_BYTES = 2**20


@reading()
def strip(source: Source, copy: BinaryIO) -> None:
    """Copy only the canvas, profile and frames of an animation."""
    with opened(source) as file:
        copy.write(file.read(_RIFF_HEAD))
        for kind, size in _chunks(file):
            if kind in _KEPT:
                copy.write(kind + size.to_bytes(4, "little"))
                _copy_data(file, copy, size, clear_flags=kind == b"VP8X")
        length = copy.tell() - _CHUNK_HEAD
        copy.seek(4)
        copy.write(length.to_bytes(4, "little"))


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield the kind and size of each chunk in the RIFF, with `file` positioned at its data."""
    file.seek(4)
    end = int.from_bytes(file.read(4), "little") + _CHUNK_HEAD
    start = _RIFF_HEAD
    while start + _CHUNK_HEAD <= end:
        file.seek(start)
        head = file.read(_CHUNK_HEAD)
        if len(head) < _CHUNK_HEAD:
            return
        size = int.from_bytes(head[4:], "little")
        yield head[:4], size
        start += _CHUNK_HEAD + size + size % 2  # chunks start at even offsets


def _copy_data(file: BinaryIO, copy: BinaryIO, size: int, *, clear_flags: bool) -> None:
    if clear_flags:
        copy.write(bytes([file.read(1)[0] & ~_METADATA_FLAGS]))
        size -= 1
    left = size
    while left and (piece := file.read(min(left, _PIECE_BYTES))):
        copy.write(piece)
        left -= len(piece)
    if copy.tell() % 2:
        copy.write(b"\0")
