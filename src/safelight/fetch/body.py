"""Streams a response body to disk: decoded in chunks, counted, hashed, and limited in size."""

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from safelight.fetch.errors import FetchError, FetchRefused, FetchTooLarge

_PIECE_BYTES = 256 * 1024
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
# Pictures hardly compress further; anything with a higher ratio is a decompression bomb.
_MAX_RATIO = 100
_RATIO_COUNTS_FROM = 2**20


class BodyWriter:
    """One file being downloaded. Its methods block: call them off the event loop.

    `encoding` is as `headers.content_coding` returns it. `max_bytes` limits both the bytes on the
    wire and the decoded bytes. An exception inside the `with` block removes the file.
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
        """The SHA-256 of the written bytes, in hex."""
        return self._sha256.hexdigest()

    def write(self, wire: bytes) -> None:
        """Write some bytes as received, decoding them."""
        self.wire_bytes += len(wire)
        self._check(self.wire_bytes)
        if self._inflater is None:
            self._keep(wire)
            return
        for piece in self._inflater.pieces(wire):
            self._keep(piece)
            if self.bytes > max(_RATIO_COUNTS_FROM, self.wire_bytes * _MAX_RATIO):
                raise FetchTooLarge("The download's compression ratio is too high; it was stopped.")

    def finish(self) -> None:
        """Flush after the end of the body."""
        if self._inflater is not None and self.wire_bytes:
            self._keep(self._inflater.rest())
        self._file.flush()

    def _keep(self, piece: bytes) -> None:
        self.bytes += len(piece)
        self._check(self.bytes)
        self._sha256.update(piece)
        self._file.write(piece)

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise FetchTooLarge(f"The download is larger than {self._max_bytes} bytes.")


class _Inflater:
    """Decompresses gzip or deflate, one bounded chunk at a time."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)

    def pieces(self, wire: bytes) -> Iterator[bytes]:
        while wire and not self._zlib.eof:
            yield self._piece(wire)
            wire = self._zlib.unconsumed_tail

    def rest(self) -> bytes:
        """Return the remaining output, less than one chunk."""
        rest = b"" if self._zlib.eof else self._piece(b"")
        if not self._zlib.eof:
            raise FetchError("The compressed download ended too early.")
        return rest

    def _piece(self, wire: bytes) -> bytes:
        try:
            return self._zlib.decompress(wire, _PIECE_BYTES)
        except zlib.error:
            raise FetchError("The compressed download is damaged.") from None


def _inflater(encoding: str) -> _Inflater | None:
    match encoding:
        case "":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return _Inflater()
        case _:
            raise FetchRefused("The other server used a content encoding that was not asked for.")
