"""The documents that streams and webhooks carry: one envelope, with what happened in `data`."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from safelight.documents.batch import Batch, BatchStanding
from safelight.documents.job import Job
from safelight.documents.problem import Problem
from safelight.documents.values import Moment, Percent, Status
from safelight.json_object import JsonObject


class Envelope(TypedDict):
    """Fields of every event."""

    id: Annotated[str, Field(examples=["evt_01k9x3v7q2m8"])]
    type: Annotated[str, Field(examples=["job.succeeded"])]
    seq: Annotated[int | None, Field(description="Counts the events of one subject, without gaps.")]
    account_id: str
    subject: Annotated[str, Field(description="Id of the job, batch or asset.")]
    created_at: Moment


class Event(Envelope):
    """An event as it is logged; webhooks add the subject's document to `data`."""

    data: JsonObject


class JobNews(TypedDict):
    """A job event; a final one carries the whole job."""

    status: Status
    stage: str | None
    progress: Percent
    index: NotRequired[Annotated[int | None, Field(description="Its place in its batch.")]]
    name: NotRequired[str]
    error: NotRequired[Problem]
    preview: NotRequired[Annotated[str, Field(description="Unfinished picture, as a data: URI.")]]
    job: NotRequired[Job]


class JobEvent(Envelope):
    """An event in the stream of a job."""

    data: JobNews


class BatchItemNews(JobNews):
    """The newest event of one job of a batch."""

    job_id: str
    event: Annotated[str, Field(examples=["job.succeeded"])]


class BatchProgress(BatchStanding):
    """Changes to the jobs of a batch since the last event."""

    items: list[BatchItemNews]


class BatchNews(TypedDict):
    """A batch event; the final one carries the whole batch."""

    name: str
    batch: NotRequired[Batch]


class BatchEvent(Envelope):
    """An event in the stream of a batch."""

    data: BatchProgress | BatchNews
