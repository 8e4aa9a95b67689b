"""Cuts a list into chunks, each sent as one batch under a key that a repetition shares."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import orjson

from safelight.cli.imports.entries import Entry


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some entries that follow each other; `place` is that of the first in the whole list."""

    number: int
    place: int
    entries: tuple[Entry, ...]

    @property
    def sound(self) -> list[Entry]:
        """The entries that can be sent, in their order in the batch."""
        return [entry for entry in self.entries if not entry.fault]

    @property
    def lines(self) -> tuple[int, int]:
        """The lines where its first and its last entry begin."""
        return self.entries[0].line, self.entries[-1].line

    def mark(self) -> str:
        """Return what tells this chunk from one of a list that was changed."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(orjson.dumps([entry.wanted(), entry.fault]))
        return digest.hexdigest()

    def body(self, tags: Sequence[str]) -> bytes:
        """Return the request that sends it."""
        whole: dict[str, object] = {"urls": [entry.wanted() for entry in self.sound]}
        return orjson.dumps(whole | ({"tags": list(tags)} if tags else {}))

    def key(self, run_id: str, body: bytes) -> str:
        """Return the idempotency key of that request: the same place and words in the same run."""
        digest = hashlib.sha256(f"{run_id}\n{self.place}\n".encode() + body)
        return f"import-{digest.hexdigest()}"


class Chunks:
    """The chunks of a list in their order, as long as each is asked to be."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self._ahead: list[Entry] = list(islice(entries, 1))
        self._number = 0
        self._place = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return not self._ahead

    def take(self, size: int) -> Chunk | None:
        """Return the next `size` entries, fewer at the end, or None after it."""
        found = (*self._ahead, *islice(self._entries, size - len(self._ahead)))
        if not found:
            return None
        chunk = Chunk(self._number, self._place, found)
        self._number += 1
        self._place += len(found)
        self._ahead = []
        return chunk
