"""Writes a body to disk as it arrives: decoded in small pieces, counted, hashed and cut off at a limit."""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from safelight.errors import FetchError, FetchRefused, FetchTooLarge

_PIECE_BYTES = 256 * 1024
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
# A compressed picture hardly shrinks further; whatever grows this much is no picture.
_MAX_RATIO = 100
_RATIO_COUNTS_FROM = 2**20

Decode = Callable[[bytes], Iterator[bytes]]


class BodyWriter:
    """One file being downloaded. Its methods block: call them off the event loop.

    `max_bytes` limits both what comes over the wire and what it decodes to. Leaving the `with`
    block by an exception removes the file.
    """

    def __init__(self, to: Path, *, max_bytes: int, encoding: str) -> None:
        self.bytes = 0
        self.wire_bytes = 0
        self._to = to
        self._max_bytes = max_bytes
        self._sha256 = hashlib.sha256()
        self._inflater = _inflater(encoding)
        self._file = to.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        if error is not None:
            self._to.unlink(missing_ok=True)

    @property
    def sha256(self) -> str:
        """The hash of what was written, in hex."""
        return self._sha256.hexdigest()

    def write(self, wire: bytes) -> None:
        """Take in some bytes as they travelled."""
        self.wire_bytes += len(wire)
        self._check(self.wire_bytes)
        if self._inflater is None:
            self._keep(wire)
            return
        for piece in _inflate(self._inflater, wire):
            self._keep(piece)
            if self.bytes > max(_RATIO_COUNTS_FROM, self.wire_bytes * _MAX_RATIO):
                raise FetchTooLarge("The download is packed beyond all measure and was stopped.")

    def finish(self) -> None:
        """Say that the body has ended."""
        if self._inflater is not None and self.wire_bytes and not self._inflater.eof:
            raise FetchError("The compressed download ended too early.")
        self._file.flush()

    def _keep(self, piece: bytes) -> None:
        self.bytes += len(piece)
        self._check(self.bytes)
        self._sha256.update(piece)
        self._file.write(piece)

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise FetchTooLarge(f"The download is larger than {self._max_bytes} bytes.")


def _inflater(encoding: str) -> "zlib._Decompress | None":
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(_GZIP_OR_ZLIB)
        case _:
            raise FetchRefused("The other server used a content encoding that was not asked for.")


def _inflate(inflater: "zlib._Decompress", wire: bytes) -> Iterator[bytes]:
    try:
        while wire and not inflater.eof:
            yield inflater.decompress(wire, _PIECE_BYTES)
            wire = inflater.unconsumed_tail
    except zlib.error:
        raise FetchError("The compressed download is damaged.") from None
