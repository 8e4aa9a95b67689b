"""A media file to read: on disk, or small and in memory."""

import io
import mmap
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

Source = Path | bytes


def opened(source: Source) -> io.BufferedReader | io.BytesIO:
    """Return a reader of the file, to be closed by the caller."""
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


@contextmanager
def mapped(source: Source) -> Generator[mmap.mmap | bytes]:
    """Yield the file's bytes without reading them into memory."""
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def size_of(source: Source) -> int:
    """Return the file's number of bytes."""
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def read_small(path: Path, most: int) -> bytes | None:
    """Return a file of up to `most` bytes, or None; one just written takes less than a thread."""
    return path.read_bytes() if path.stat().st_size <= most else None
