"""The document of a job, its list, and its attempts."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from safelight.documents.asset import Asset
from safelight.documents.problem import Problem
from safelight.documents.values import (
    Cursor,
    Kind,
    Metadata,
    Micros,
    Moment,
    Percent,
    Role,
    Status,
    Tags,
    Url,
    Visibility,
)
from safelight.json_object import JsonObject

JobId = Annotated[str, Field(examples=["job_01k9x3v7q2m8"])]


class JobSource(TypedDict):
    """A picture that a job works from."""

    source: Annotated[str, Field(description="Asset id or URL.", examples=["ast_01k9x3v7q2m8"])]
    role: Role


class Job(TypedDict):
    """One piece of work, from submission to result."""

    id: JobId
    kind: Kind
    status: Annotated[Status, Field(examples=["succeeded"])]
    stage: Annotated[str | None, Field(description="What is being done now, in a few words.")]
    progress: Percent
    queue_position: Annotated[int | None, Field(description="Jobs ahead of it while queued.")]
    eta_s: Annotated[float | None, Field(description="Estimated seconds until it ends.")]
    prompt: Annotated[str | None, Field(examples=["A red cat playing guitar"])]
    model: Annotated[str, Field(examples=["sketch"])]
    provider: Annotated[str, Field(examples=["sketch"])]
    params: Annotated[
        JsonObject,
        Field(description="All params, with the model's defaults.", examples=[{"seed": 7}]),
    ]
    fallbacks: Annotated[list[str], Field(description="Models to try next if this one fails.")]
    inputs: list[JobSource]
    outputs: list[Asset]
    error: Annotated[Problem | None, Field(description="Why it failed.")]
    cost_micros: Micros
    cost_known_micros: Annotated[
        int | None, Field(description="The part of the cost that is known so far.")
    ]
    estimate_micros: Micros
    attempts: Annotated[int, Field(examples=[1])]
    batch_id: str | None
    batch_index: int | None
    name: str | None
    external_id: Annotated[str | None, Field(description="Your own id for it.")]
    source_url: Annotated[str | None, Field(description="Where an import downloads from.")]
    priority: int
    start_by: Moment | None
    visibility: Annotated[Visibility, Field(description="Of its outputs.")]
    keep_s: Annotated[float | None, Field(description="Seconds its outputs are kept.")]
    tags: Tags
    metadata: Metadata
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    status_url: Url
    events_url: Url


class SubmittedJob(Job):
    """A job as its submission returns it."""

    job_id: Annotated[str, Field(description="The same as `id`.", examples=["job_01k9x3v7q2m8"])]


class JobList(TypedDict):
    """A page of jobs."""

    data: list[Job]
    next_cursor: Cursor


class Attempt(TypedDict):
    """One try of a job at one provider."""

    id: Annotated[str, Field(examples=["att_01k9x3v7q2m8"])]
    number: Annotated[int, Field(examples=[1])]
    provider: str
    state: Annotated[Literal["sent", "ticketed", "unknown", "closed"], Field(examples=["closed"])]
    outcome: Annotated[
        Literal["succeeded", "failed", "canceled", "lost"] | None, Field(examples=["succeeded"])
    ]
    ground: Annotated[
        Literal[
            "none",
            "earlier",
            "verdict",
            "refused",
            "absent",
            "canceled",
            "unsent",
            "repeatable",
            "person",
        ]
        | None,
        Field(description="The fact that closed it; null while it is open.", examples=["verdict"]),
    ]
    error: Problem | None
    cost_micros: Micros
    created_at: Moment
    closed_at: Moment | None


class AttemptList(TypedDict):
    """All attempts of a job."""

    data: list[Attempt]
    next_cursor: Cursor


class Redriven(TypedDict):
    """How many failed jobs were queued again."""

    redriven: Annotated[int, Field(examples=[12])]
    skipped: Annotated[int, Field(description="Jobs whose last attempt is still settling.")]
    next_cursor: Cursor
