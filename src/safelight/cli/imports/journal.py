"""Remembers beside a list how far its import got, so that the same command goes on from there.

JSON lines, added only: the run, and of each chunk that it is being sent, that it was, and how it
ended. A line counts once it is on the disk.
"""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self, TypedDict, cast
from uuid import uuid4

import orjson

from safelight.cli.failure import BadUse
from safelight.cli.imports.chunks import Chunk

_VERSION = 1
_MAX_LINE_BYTES = 1 << 20
_HEAD = b'{"type":"run"'


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """How a chunk ended; `report_length` is that of the report with the rows of this chunk."""

    succeeded: int
    codes: dict[str, int] = field(default_factory=dict[str, int])
    report_length: int = 0

    @property
    def failed(self) -> int:
        """How many of its entries failed."""
        return sum(self.codes.values())


@dataclass(slots=True)
class Noted:
    """The state of one chunk."""

    size: int
    mark: str
    lines: tuple[int, int]
    batch_id: str = ""
    outcome: ItemOutcome | None = None


class _Line(TypedDict):
    """Fields of journal lines; a line that lacks a field of its type is invalid."""

    type: str
    version: int
    run_id: str
    account_id: str
    tags: list[str]
    chunk: int
    size: int
    mark: str
    lines: tuple[int, int]
    batch_id: str
    succeeded: int
    codes: dict[str, int]
    report_length: int


class Journal:
    """One run over one list. Without a file it remembers for as long as the command runs."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.run_id = uuid4().hex
        self.chunks: dict[int, Noted] = {}
        self._account_id = ""
        self._tags: list[str] = []
        self._file: BinaryIO | None = None

    @classmethod
    def open(cls, path: Path, *, anew: bool) -> Self:
        """Return what `path` remembers, which is nothing if it is new or begun `anew`."""
        journal = cls(path)
        try:
            file = path.open("a+b", buffering=0)
        except OSError as error:
            raise BadUse(
                f"{path} cannot be written: {error.strerror}. Name another with --journal."
            ) from None
        journal._file = file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(_nothing_of(path) if anew else journal._load(path))
        except BlockingIOError:
            file.close()
            raise BadUse(f"Another command imports this list: it holds {path}.") from None
        except BaseException:
            file.close()
            raise
        return journal

    def close(self) -> None:
        """Let others have the list."""
        if self._file:
            self._file.close()

    def begin(self, account_id: str, tags: Sequence[str]) -> None:
        """Tie the run to the account and the tags that it sends with, or refuse others."""
        if not self._account_id:
            self._account_id, self._tags = account_id, list(tags)
            self._add(
                type="run",
                version=_VERSION,
                run_id=self.run_id,
                account_id=account_id,
                tags=self._tags,
            )
            return
        if account_id != self._account_id:
            raise BadUse(
                f"{self.path} tells of an import into another account ({self._account_id}). "
                "Begin anew with --restart, or keep both with --journal."
            )
        if list(tags) != self._tags:
            before = " ".join(f"--tag {tag}" for tag in self._tags) or "no --tag"
            raise BadUse(f"This import was begun with {before}. Go on so, or use --restart.")

    def sending(self, chunk: Chunk) -> None:
        """Note that the chunk is about to be sent, so that its bounds are known from then on."""
        noted = Noted(len(chunk.entries), chunk.mark(), chunk.lines)
        self.chunks[chunk.number] = noted
        self._add(
            type="sending",
            chunk=chunk.number,
            size=noted.size,
            mark=noted.mark,
            lines=noted.lines,
        )

    def sent(self, number: int, batch_id: str) -> None:
        """Note which batch the chunk became."""
        self.chunks[number].batch_id = batch_id
        self._add(type="sent", chunk=number, batch_id=batch_id)

    def finished(self, number: int, outcome: ItemOutcome) -> None:
        """Note how the chunk ended."""
        self.chunks[number].outcome = outcome
        self._add(
            type="finished",
            chunk=number,
            succeeded=outcome.succeeded,
            codes=outcome.codes,
            report_length=outcome.report_length,
        )

    @property
    def report_length(self) -> int:
        """How long the report is with the rows of all chunks that ended."""
        ended = [noted.outcome.report_length for noted in self.chunks.values() if noted.outcome]
        return max(ended, default=0)

    def _add(self, **line: object) -> None:
        if not self._file:
            return
        self._file.write(orjson.dumps(line) + b"\n")
        os.fsync(self._file.fileno())

    # --- reading it again --------------------------------------------------------------------

    def _load(self, path: Path) -> int:
        """Read what is whole, and return its length."""
        whole, number = 0, 0
        with path.open("rb") as file:
            while raw := file.readline(_MAX_LINE_BYTES):
                number += 1
                if not raw.endswith(b"\n"):
                    break  # torn: the command was killed, or the machine went down, while writing
                try:
                    self._read(cast("_Line", orjson.loads(raw)))
                except (ValueError, KeyError, TypeError, AttributeError):
                    raise BadUse(
                        f"{path}: line {number}: not of a journal of this command. "
                        "Begin anew with --restart, or name another with --journal."
                    ) from None
                whole += len(raw)
        return whole

    def _read(self, line: _Line) -> None:
        match line["type"]:
            case "run" if line["version"] == _VERSION:
                self.run_id, self._account_id = line["run_id"], line["account_id"]
                self._tags = line["tags"]
            case "sending":
                first, last = line["lines"]
                self.chunks[line["chunk"]] = Noted(line["size"], line["mark"], (first, last))
            case "sent":
                self.chunks[line["chunk"]].batch_id = line["batch_id"]
            case "finished":
                outcome = ItemOutcome(line["succeeded"], line["codes"], line["report_length"])
                self.chunks[line["chunk"]].outcome = outcome
            case unknown:
                raise ValueError(f"{unknown!r} is no line of a journal")


def _nothing_of(path: Path) -> int:
    """Return the length of a journal begun anew, having seen that it is one."""
    with path.open("rb") as file:
        head = file.read(len(_HEAD))
    if not _HEAD.startswith(head):
        raise BadUse(f"{path} is no journal of this command: name another with --journal.")
    return 0
