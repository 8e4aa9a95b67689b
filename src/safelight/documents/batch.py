"""The document of a batch, with and without its items."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from safelight.documents.job import Job
from safelight.documents.problem import Problem
from safelight.documents.values import Cursor, Kind, Metadata, Moment, Percent, Tags, Url

BatchStatus = Literal["queued", "running", "succeeded", "partial", "failed", "canceled"]
BatchId = Annotated[str, Field(examples=["bat_01k9x3v7q2m8"])]


class BatchCounts(TypedDict):
    """How many items of a batch are in which status."""

    total: Annotated[int, Field(examples=[2])]
    queued: int
    running: int
    succeeded: Annotated[int, Field(examples=[2])]
    failed: int
    canceled: int


class BatchStanding(TypedDict):
    """How far a batch is."""

    status: Annotated[BatchStatus, Field(examples=["succeeded"])]
    progress: Percent
    counts: BatchCounts


class BatchSummary(BatchStanding):
    """A batch without its items."""

    id: BatchId
    kind: Kind
    name: str | None
    tags: Tags
    metadata: Metadata
    created_at: Moment
    finished_at: Moment | None
    status_url: Url
    events_url: Url
    download_url: Url


class BatchItem(TypedDict):
    """One item of a batch: a job, or the reason why there is none."""

    index: int
    name: str | None
    job: Job | None
    problem: Problem | None


class Batch(BatchSummary):
    """Several jobs that were submitted as one."""

    items: list[BatchItem]


class SubmittedBatch(Batch):
    """A batch as its submission returns it."""

    batch_id: Annotated[str, Field(description="The same as `id`.", examples=["bat_01k9x3v7q2m8"])]


class BatchList(TypedDict):
    """A page of batches."""

    data: list[BatchSummary]
    next_cursor: Cursor
