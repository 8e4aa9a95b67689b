"""Streams many objects as one ZIP while they are read from storage: nothing is built on disk."""

import zipfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import anyio.to_thread

from safelight.storage.storage import Storage

_QUICK = 1  # of zlib's levels: pictures do not shrink, and models shrink well at any
_EPOCH = datetime(1980, 1, 1, tzinfo=UTC)  # a ZIP knows no earlier time


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the ZIP: an object of the storage, or bytes at hand."""

    path: str
    made_at: datetime
    size: int
    content: str | bytes  # the object's key, or the bytes themselves


async def archive(storage: Storage, entries: Iterable[Entry]) -> AsyncIterator[bytes]:
    """Yield the ZIP's bytes; holds no more than a piece of one object at a time.

    Raises `NotFound` in the middle where an object has gone: the reader's file is then cut off,
    and no tool takes it for whole.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", compresslevel=_QUICK) as zipped:
        for entry in entries:
            info = zipfile.ZipInfo(entry.path, max(entry.made_at, _EPOCH).timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            # A file that may pass 4 GiB says so at its beginning.
            is_long = entry.size >= zipfile.ZIP64_LIMIT // 2
            with zipped.open(info, "w", force_zip64=is_long) as target:
                async for piece in _pieces(storage, entry):
                    await anyio.to_thread.run_sync(partial(target.write, piece))
                    if ready := sink.take():
                        yield ready
    yield sink.take()


async def _pieces(storage: Storage, entry: Entry) -> AsyncIterator[bytes]:
    if isinstance(entry.content, bytes):
        yield entry.content
        return
    async for piece in storage.read(entry.content, start=0, end=entry.size):
        yield piece


class _Sink:
    """What a ZIP is written to: it cannot seek, and gives away what it has."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, piece: bytes) -> int:
        self._held += piece
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken
