"""SHA-256 checksums of files and streams."""

import hashlib
from pathlib import Path
from typing import IO


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hex. Blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_of(source: Path | bytes) -> str:
    """Return the SHA-256 of a file or of bytes in hex. Blocks."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    return file_checksum(source)


class Hashing:
    """A reader that hashes the bytes it returns."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        piece = self._file.read(size)
        self._hash.update(piece)
        return piece

    @property
    def checksum(self) -> str:
        """The SHA-256 of what was read, in hex."""
        return self._hash.hexdigest()
