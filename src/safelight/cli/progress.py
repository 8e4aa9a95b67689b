"""Reads the events of a job or batch into rows that a person can follow. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from safelight.cli.documents import Document, items_of, title_of
from safelight.documents import Batch, BatchItem, Job
from safelight.json_object import JsonObject

FINAL = frozenset({"succeeded", "failed", "canceled"})
_STATUS_OF = {
    "job.queued": "queued",
    "job.started": "running",
    "job.waiting": "running",
    "job.progress": "running",
    "job.retrying": "queued",
    "job.succeeded": "succeeded",
    "job.failed": "failed",
    "job.canceled": "canceled",
}


@dataclass(frozen=True, slots=True)
class Row:
    """How far one job is. `ahead` is the number of jobs before it, where that is known."""

    key: str
    title: str
    status: str
    stage: str = ""
    percent: float = 0.0
    ahead: int | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in FINAL


@dataclass(frozen=True, slots=True)
class Update:
    """The change by one event, and the whole document if it was the last event."""

    rows: tuple[Row, ...] = ()
    final: Document | None = None


def read_event(kind: str, data: Mapping[str, Any], subject: str) -> Update:
    """Return what the event means to one who follows `subject`; kinds unknown here mean nothing."""
    if kind == "snapshot":
        return read_document(cast("Document", data))
    inner: Mapping[str, Any] = data.get("data", {})
    if kind == "batch.finished":
        return Update(final=cast("Batch", inner["batch"]))
    if kind == "batch.progress":
        items = cast("list[JsonObject]", inner["items"])
        return Update(tuple(_row_of_news(item["event"], item["job_id"], item) for item in items))
    if kind not in _STATUS_OF:
        return Update()
    row = _row_of_news(kind, data["subject"], inner)
    is_last = row.is_final and row.key == subject
    return Update((row,), cast("Job", inner["job"]) if is_last else None)


def read_document(document: Document) -> Update:
    """Return the rows of a whole document, and the document itself if it is final."""
    rows = tuple(_row_of_item(item) for item in items_of(document))
    return Update(rows, document if document["finished_at"] else None)


def describe(row: Row) -> str:
    """Return how far it is, in a few words."""
    if row.status == "queued" and row.stage.startswith("no worker"):
        return f"queued, {row.stage}"
    if row.status == "queued" and row.ahead:
        return f"queued, {row.ahead} before it"
    if row.status != "running":
        return row.status
    return f"{row.percent:.0f} % {row.stage}".rstrip()


def _row_of_news(kind: str, job_id: str, news: Mapping[str, Any]) -> Row:
    status = _STATUS_OF[kind]
    percent = 100.0 if status == "succeeded" else float(news.get("progress") or 0)
    return Row(job_id, news.get("name") or "", status, news.get("stage") or "", percent)


def _row_of_item(item: BatchItem) -> Row:
    job = item["job"]
    if job is None:
        key = f"item {item['index']}"
        return Row(key, item["name"] or key, "failed")
    return Row(
        job["id"],
        title_of(job),
        job["status"],
        job["stage"] or "",
        job["progress"],
        job["queue_position"],
    )
