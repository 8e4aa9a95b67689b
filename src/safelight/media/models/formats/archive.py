"""Writes a zip whose bytes depend on its content alone, and aligned where a reader wants that."""

import struct
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

_LOCAL_HEADER = 30  # bytes, before the name
_EXTRA_HEADER = struct.Struct("<HH")
_PADDING = 0x1986  # the kind that USD's own packages call theirs
_FILE = 0o100644 << 16  # a plain file that everybody may read
_FAST = 4  # of zlib's 9: text grows by a twentieth, and takes half the time


class Archive:
    """A zip that is written file by file.

    With `align` the files are stored as they are, the content of each beginning at a multiple of so
    many bytes; without, they are compressed.
    """

    def __init__(self, path: Path, *, align: int = 0) -> None:
        self._align = align
        self._kind = zipfile.ZIP_STORED if align else zipfile.ZIP_DEFLATED
        self._zip = zipfile.ZipFile(path, "w", self._kind, compresslevel=_FAST)
        self._end = 0  # where the next file's header goes

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
        """Hand out a file to write to; one at a time."""
        info = zipfile.ZipInfo(name)  # of 1980, the first year that a zip can name
        info.compress_type = self._kind
        info.external_attr = _FILE
        start = self._end + _LOCAL_HEADER + len(name.encode())
        info.extra = self._padding(start)
        with self._zip.open(info, "w") as file:
            yield file
        self._end = start + len(info.extra) + info.compress_size

    def _padding(self, start: int) -> bytes:
        """Return an extra field after which a multiple of `align` is reached."""
        if not self._align or start % self._align == 0:
            return b""
        size = -(start + _EXTRA_HEADER.size) % self._align
        return _EXTRA_HEADER.pack(_PADDING, size) + bytes(size)
