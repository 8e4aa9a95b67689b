"""The report of what could not be imported: a CSV that a spreadsheet opens and `import` takes."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from safelight.cli.failure import BadUse

COLUMNS = (
    "line",
    "url",
    "external_id",
    "job_id",
    "code",
    "message",
    "name",
    "tags",
    "metadata",
)
_SENT = ("url", "external_id", "name", "tags", "metadata")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_HEAD = f"{','.join(COLUMNS)}\r\n".encode()


def restored(cells: Sequence[str]) -> dict[str, str]:
    """Return what a row of a report says of the picture itself, as it stood in its list."""
    row = dict(zip(COLUMNS, cells, strict=False))
    return {name: row.get(name, "").removeprefix("'") for name in _SENT}


class Report:
    """Rows added to a file, which is made only when there is one.

    `length` is how much of the file is known to be whole: what a killed run wrote after that is
    cut off, and its rows come again.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path = path
        self.length = min(length, _size(path))
        if self.length == 0:
            self._clear()

    def _clear(self) -> None:
        """Remove the report of an earlier run; a file that is none is left alone."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            head = file.read(len(_HEAD))
        if not _HEAD.startswith(head):
            raise BadUse(f"{self.path} is no report of failures: name another with --failures.")
        self.path.unlink()

    def add(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Write rows, by the names of the columns, to the disk."""
        if not rows:
            return
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerows([_safe(row[name]) for name in COLUMNS] for row in rows)
        written = text.getvalue().encode(errors="backslashreplace")
        if self.length == 0:
            written = _HEAD + written
        with self.path.open("r+b" if self.path.exists() else "w+b") as file:
            file.truncate(self.length)
            file.seek(self.length)
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        self.length += len(written)


def _safe(cell: str) -> str:
    """Return the cell so that no spreadsheet takes it for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
