"""The result of a submission, a job or a batch, item by item."""

from safelight.documents import Batch, BatchItem, Job

Document = Job | Batch


def items_of(document: Document) -> list[BatchItem]:
    """Return what was asked for, place by place: a job is a single one."""
    if "items" in document:
        return document["items"]
    return [{"index": 0, "name": document["name"], "job": document, "problem": None}]


def title_of(job: Job) -> str:
    """Return a label that people recognize the job by."""
    return job["name"] or job["prompt"] or job["source_url"] or job["id"]
