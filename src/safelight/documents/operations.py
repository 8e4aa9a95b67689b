"""The documents an operator reads: lanes, dead letters, checks, health."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from safelight.documents.problem import Problem
from safelight.documents.values import Cursor, Kind, Micros, Moment

CheckStatus = Literal["ok", "failed", "unknown"]
ReadinessStatus = Literal["ok", "degraded", "unready", "stopping"]


class LaneState(TypedDict):
    """Whether a lane starts jobs."""

    name: Annotated[str, Field(examples=["remote"])]
    paused: bool
    paused_at: Moment | None


class Lane(LaneState):
    """The work in a lane. Where a count is "at least", counting stopped there."""

    ready: int
    ready_at_least: bool
    due_checks: int
    delayed: int
    delayed_at_least: bool
    oldest_wait_s: float | None
    running: int
    waiting: int


class ProviderLoad(TypedDict):
    """The work of one provider."""

    name: str
    ready: int
    ready_at_least: bool
    running: int
    waiting: int
    in_flight: int


class UnwellProvider(TypedDict):
    """A provider that is paused after failures, or on trial."""

    provider: str
    reason: Annotated[str, Field(description="Error code of its last failure.")]
    refused_look: Annotated[
        str | None, Field(description="Error code with which it refuses status requests.")
    ]
    advice: str
    faults: int
    shut_until: Moment | None


class Lanes(TypedDict):
    """All lanes, and the providers that have work or are unwell."""

    lanes: list[Lane]
    providers: list[ProviderLoad]
    unwell: list[UnwellProvider]


class Worker(TypedDict):
    """A process that does the work; `alive` until it has not been seen for its lease."""

    id: Annotated[str, Field(examples=["wrk_01k9x3v7q2m8"])]
    host: str
    pid: int
    roles: list[str]
    lanes: Annotated[dict[str, int], Field(description="Slots by lane.")]
    version: str
    running: int
    alive: bool
    started_at: Moment
    last_seen_at: Moment


class WorkerList(TypedDict):
    """All processes of the last day that stopped out of order or are alive, oldest first."""

    data: list[Worker]
    next_cursor: None


class DeadLetter(TypedDict):
    """A failed job of any account."""

    id: Annotated[str, Field(examples=["job_01k9x3v7q2m8"])]
    account_id: str
    batch_id: str | None
    kind: Kind
    model: str
    provider: str
    lane: str
    error: Problem | None
    attempts: int
    crashes: int
    cost_micros: Micros
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment


class DeadLetterList(TypedDict):
    """A page of dead letters."""

    data: list[DeadLetter]
    next_cursor: Cursor


class Check(TypedDict):
    """The result of checking one part of an installation."""

    name: Annotated[str, Field(examples=["database"])]
    status: CheckStatus
    detail: str
    code: str | None
    models: NotRequired[Annotated[list[str], Field(description="Of a provider: its models.")]]
    callback_url: NotRequired[
        Annotated[str | None, Field(description="Of a provider: where it reports.")]
    ]


class CheckList(TypedDict):
    """The results of checking an installation."""

    data: list[Check]


class Liveness(TypedDict):
    """The process runs."""

    status: Literal["ok"]


class Probe(TypedDict):
    """Whether one part works."""

    status: Literal["ok", "failed"]
    detail: NotRequired[str]


class Readiness(TypedDict):
    """Whether a process can serve."""

    status: ReadinessStatus
    checks: Annotated[dict[str, Probe], Field(examples=[{"database": {"status": "ok"}}])]
