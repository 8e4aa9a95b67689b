"""Streams stored objects as one ZIP, without a temporary file."""

import zipfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import anyio.to_thread

from safelight.storage.storage import Storage

_QUICK = 1  # zlib level: pictures do not compress, and models compress well at any level
_EPOCH = datetime(1980, 1, 1, tzinfo=UTC)  # the earliest time that a ZIP can hold


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the ZIP: a stored object, or bytes in memory."""

    path: str
    made_at: datetime
    size: int
    content: str | bytes  # the object's key, or the bytes themselves


async def archive(storage: Storage, entries: Iterable[Entry]) -> AsyncIterator[bytes]:
    """Yield the ZIP's bytes; buffers one chunk of one object at a time.

    Raises `NotFound` midway if an object was removed: the download is then truncated, and no tool
    accepts it as complete.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", compresslevel=_QUICK) as zipped:
        for entry in entries:
            info = zipfile.ZipInfo(entry.path, max(entry.made_at, _EPOCH).timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            # ZIP64 must be declared in the local header, before the size is known.
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
    """An unseekable sink for the ZIP writer, drained after each write."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, piece: bytes) -> int:
        self._held += piece
        return len(piece)

    def flush(self) -> None:
        """No-op: writes are not buffered."""

    def close(self) -> None:
        """No-op: no file is open."""

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken
