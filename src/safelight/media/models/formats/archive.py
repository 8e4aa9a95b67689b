"""Writes deterministic zips, with optional alignment of their content."""

import struct
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

_LOCAL_HEADER = 30  # bytes, before the name
_EXTRA_HEADER = struct.Struct("<HH")
_PADDING = 0x1986  # the extra field id that USD's own packages use
_FILE = 0o100644 << 16  # a regular file, readable by everyone
_FAST = 4  # of zlib's 9: half the time for 5% more bytes of text


class Archive:
    """A zip, written file by file.

    With `align`, files are stored uncompressed, and their content starts at multiples of that many
    bytes; without it, they are compressed.
    """

    def __init__(self, path: Path, *, align: int = 0) -> None:
        self._align = align
        self._kind = zipfile.ZIP_STORED if align else zipfile.ZIP_DEFLATED
        self._zip = zipfile.ZipFile(path, "w", self._kind, compresslevel=_FAST)
        self._end = 0  # offset of the next file's header

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    @contextmanager
    def file(self, name: str) -> Generator[IO[bytes]]:
        """Open a file for writing; one at a time."""
        info = zipfile.ZipInfo(name)  # dated 1980, the earliest year in a zip
        info.compress_type = self._kind
        info.external_attr = _FILE
        start = self._end + _LOCAL_HEADER + len(name.encode())
        info.extra = self._padding(start)
        with self._zip.open(info, "w") as file:
            yield file
        self._end = start + len(info.extra) + info.compress_size

    def _padding(self, start: int) -> bytes:
        """Return an extra field that pads the content to a multiple of `align`."""
        if not self._align or start % self._align == 0:
            return b""
        size = -(start + _EXTRA_HEADER.size) % self._align
        return _EXTRA_HEADER.pack(_PADDING, size) + bytes(size)
