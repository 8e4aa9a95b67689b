"""Reads how a chunk ended: how many succeeded, and of each of the others why not. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from safelight.cli.failure import Received, say
from safelight.cli.imports.chunks import Chunk
from safelight.cli.imports.entries import Entry
from safelight.cli.tags import write_tags
from safelight.documents import Batch, BatchItem

INVALID_LINE = "invalid_line"
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Failed:
    """One entry that was not imported."""

    entry: Entry
    code: str
    message: str
    job_id: str = ""

    def row(self) -> dict[str, str]:
        """Return it by the columns of the report."""
        entry = self.entry
        return {
            "line": str(entry.line),
            "url": entry.url,
            "external_id": entry.external_id,
            "job_id": self.job_id,
            "code": self.code,
            "message": self.message,
            "name": entry.name,
            "tags": write_tags(entry.tags),
            "metadata": orjson.dumps(entry.metadata).decode() if entry.metadata else "",
        }

    def say(self, name: str) -> str:
        """Return it as a line for a person who reads the list `name`."""
        where = f"{name}: line {self.entry.line}: "
        return where + (f"{self.entry.url}: {self.message}" if self.entry.url else self.message)


def failures_of(chunk: Chunk, batch: Batch | None) -> list[Failed]:
    """Return what failed of a chunk whose batch has ended, in the order of the list.

    One of which nothing could be sent has no batch.
    """
    sound = chunk.sound
    items = batch["items"] if batch else []
    found = [failed for item in items if (failed := _failed(sound[item["index"]], item))]
    return sorted([*_invalid(chunk), *found], key=lambda failed: failed.entry.line)


def refused(chunk: Chunk, code: str, message: str) -> list[Failed]:
    """Return all of a chunk as failed, for one reason but for the lines that were no good."""
    found = [Failed(entry, code or _UNKNOWN, message) for entry in chunk.sound]
    return sorted([*_invalid(chunk), *found], key=lambda failed: failed.entry.line)


def codes_of(failures: Sequence[Failed]) -> dict[str, int]:
    """Return how many failed for each reason."""
    return dict(Counter(failed.code for failed in failures))


def _invalid(chunk: Chunk) -> list[Failed]:
    return [Failed(entry, INVALID_LINE, entry.fault) for entry in chunk.entries if entry.fault]


def _failed(entry: Entry, item: BatchItem) -> Failed | None:
    job = item["job"]
    if job is None:
        return _of_problem(entry, item["problem"] or {})
    if job["status"] == "succeeded":
        return None
    if job["status"] == "canceled":
        return Failed(entry, "canceled", "The job was canceled.", job["id"])
    return _of_problem(entry, job["error"] or {}, job["id"])


def _of_problem(entry: Entry, problem: Received, job_id: str = "") -> Failed:
    return Failed(entry, problem.get("code", _UNKNOWN), say(problem), job_id)
