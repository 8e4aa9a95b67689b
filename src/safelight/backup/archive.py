"""The file of a backup: a TAR whose last entry lists the SHA-256 of every other.

The list has the format of `sha256sum -c`. Its comments name the objects that were lost before the
backup, and its last line is the checksum of the lines above.
"""

import asyncio
import hashlib
import tarfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

from safelight.backup.errors import BackupUnfit
from safelight.checksums import Hashing, file_checksum

CHECKSUMS = "SHA256SUMS"
_LOST = "# lost "
_WHOLE = "# whole "
_PIECE = 1 << 20
_LONGEST_LINE = 1 << 12
_MOST_NAMED = 10
_OUR_ERRORS = (tarfile.TarError, EOFError, OSError)


class Sink(Protocol):
    """The part of a file that an archive is written to."""

    def write(self, data: bytes, /) -> object: ...


class Writer:
    """Writes entries to a stream, then their checksums. Blocks."""

    def __init__(self, out: Sink, folder: Path) -> None:
        """The list of checksums grows in `folder`."""
        self._tar = tarfile.open(fileobj=cast("IO[bytes]", out), mode="w|")  # noqa: SIM115  until finish
        self._list = folder / CHECKSUMS
        self._list.write_bytes(b"")

    def add(self, name: str, path: Path) -> str:
        """Add a file without the owner and mode that it has here; return its SHA-256."""
        entry = tarfile.TarInfo(name)
        found = path.stat()
        entry.size, entry.mtime, entry.mode = found.st_size, int(found.st_mtime), 0o600
        with path.open("rb") as file:
            hashing = Hashing(file)
            self._tar.addfile(entry, hashing)
        self._note(f"{hashing.checksum}  {name}")
        return hashing.checksum

    def lose(self, key: str) -> None:
        """Note an object that a row names and the archive lacks."""
        self._note(f"{_LOST}{key}")

    def finish(self) -> None:
        """Add the list, and end the archive."""
        self._note(f"{_WHOLE}{file_checksum(self._list)}")
        self.add(CHECKSUMS, self._list)
        self._tar.close()

    def _note(self, line: str) -> None:
        with self._list.open("a") as file:
            file.write(f"{line}\n")


@dataclass(frozen=True, slots=True)
class Verified:
    """The count of an archive's entries, and the keys it lists as lost."""

    entries: int
    lost: frozenset[str]


async def verify(source: Path, folder: Path) -> Verified:
    """Compare every entry with its checksum; `folder` keeps the lists meanwhile.

    Raises `BackupUnfit` with the names of damaged entries, or if the archive is incomplete.
    """
    found = folder / "found"
    entries = 0
    async with opened(source) as tar:
        with found.open("w", errors="surrogateescape") as lines:  # damaged names too
            while (entry := await asyncio.to_thread(tar.next)) and entry.name != CHECKSUMS:
                checksum = await asyncio.to_thread(_checksum_of, tar, entry)
                lines.write(f"{checksum}  {entry.name}\n")
                entries += 1
        if entry is None:
            raise BackupUnfit(f"{source} is not a complete backup: its end is missing.")
        await asyncio.to_thread(extract, tar, entry, folder / CHECKSUMS)
        if await asyncio.to_thread(tar.next):
            raise BackupUnfit(f"{source} is not a backup: entries follow its list of checksums.")
    return Verified(entries, await asyncio.to_thread(_compare, source, folder / CHECKSUMS, found))


@asynccontextmanager
async def opened(source: Path) -> AsyncGenerator[tarfile.TarFile]:
    """Yield the archive for reading; raise `BackupUnfit` for what its reader raises."""
    try:
        with await asyncio.to_thread(tarfile.open, source, "r:") as tar:
            yield tar
    except _OUR_ERRORS as error:
        raise BackupUnfit(f"{source} is not a complete backup: {error}") from None


def extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
    """Write an entry to `target`; raise `BackupUnfit` if it is no file."""
    content = _content(tar, entry)
    with target.open("wb") as file:
        while piece := content.read(_PIECE):
            file.write(piece)


def _checksum_of(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> str:
    hashing = Hashing(_content(tar, entry))
    while hashing.read(_PIECE):
        pass
    return hashing.checksum


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(entry) if entry.isfile() else None
    if content is None:
        raise BackupUnfit(f"{entry.name} is not a file.")
    return content


def _compare(source: Path, listed: Path, found: Path) -> frozenset[str]:
    """Return the keys listed as lost; raise `BackupUnfit` unless both lists agree."""
    lost: set[str] = set()
    damaged: list[str] = []
    whole = hashlib.sha256()
    last = b""
    with listed.open("rb") as ours, found.open("rb") as theirs:
        while line := ours.readline(_LONGEST_LINE):
            last = line
            if line.startswith(_WHOLE.encode()):
                break
            whole.update(line)
            if line.startswith(_LOST.encode()):
                lost.add(line[len(_LOST) :].decode().rstrip("\n"))
            elif (other := theirs.readline(_LONGEST_LINE)) != line:
                damaged.append(other.decode(errors="replace").partition("  ")[2].strip())
        rest = ours.read(1) or theirs.read(1)
    if last != f"{_WHOLE}{whole.hexdigest()}\n".encode() or rest:
        raise BackupUnfit(f"{source} is damaged: its list of checksums is not as it was written.")
    if damaged:
        names = ", ".join(damaged[:_MOST_NAMED])
        more = f" and {len(damaged) - _MOST_NAMED} more" if len(damaged) > _MOST_NAMED else ""
        raise BackupUnfit(f"{source} is damaged: {names}{more} changed since it was written.")
    return frozenset(lost)
