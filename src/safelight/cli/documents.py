"""The API's documents as the command line reads them; the API may say more than is named here."""

from typing import Any, NotRequired, TypedDict


class Problem(TypedDict, total=False):
    """Why something was refused or failed (RFC 9457)."""

    title: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, Any]]
    retry_after_s: float


class Asset(TypedDict):
    """One file that was made or kept."""

    id: str
    name: str
    media_type: str
    bytes: int
    width: int | None
    height: int | None
    url: str | None
    prompt: str | None
    tags: list[str]
    created_at: str


class Job(TypedDict):
    """One piece of work."""

    id: str
    kind: str
    status: str
    stage: str | None
    progress: float
    queue_position: int | None
    eta_s: float | None
    prompt: str | None
    model: str
    provider: str
    name: str | None
    source_url: str | None
    outputs: list[Asset]
    error: Problem | None
    attempts: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    status_url: str


class Item(TypedDict):
    """One place of a batch: a job, or the reason why there is none."""

    index: int
    name: str | None
    job: Job | None
    problem: Problem | None


class Counts(TypedDict):
    """How many places of a batch stand where."""

    total: int
    queued: int
    running: int
    succeeded: int
    failed: int
    canceled: int


class Batch(TypedDict):
    """Several jobs that were sent as one."""

    id: str
    status: str
    progress: float
    counts: Counts
    items: list[Item]
    created_at: str
    finished_at: str | None
    status_url: str


class Account(TypedDict):
    """Whose key it is."""

    id: str
    name: str


class Model(TypedDict):
    """One thing that can make media."""

    id: str
    provider: str
    title: str
    description: str
    kinds: list[str]
    price_micros: NotRequired[int | None]


class Check(TypedDict):
    """What was found of one part of an installation; `status` is ok, failed or unknown."""

    name: str
    status: str
    detail: str
    code: str | None
    callback_url: NotRequired[str | None]


class Lane(TypedDict):
    """What stands in one lane; a count that is "at least" is only the bound of counting."""

    name: str
    paused: bool
    paused_at: str | None
    ready: int
    ready_at_least: bool
    due_checks: int
    delayed: int
    delayed_at_least: bool
    oldest_wait_s: float | None
    running: int
    waiting: int


class ProviderLoad(TypedDict):
    """What one provider has to do."""

    name: str
    ready: int
    ready_at_least: bool
    running: int
    waiting: int
    in_flight: int


class Lanes(TypedDict):
    """All lanes, and the providers that have work."""

    lanes: list[Lane]
    providers: list[ProviderLoad]


class LaneState(TypedDict):
    """Whether a lane starts jobs."""

    name: str
    paused: bool
    paused_at: str | None


class DeadLetter(TypedDict):
    """A failed job of any account."""

    id: str
    account_id: str
    kind: str
    model: str
    provider: str
    lane: str
    error: Problem
    attempts: int
    created_at: str
    finished_at: str


class Redriven(TypedDict):
    """How many dead letters were queued anew, and how many could not be yet."""

    redriven: int
    skipped: int


Document = Job | Batch


def items_of(document: Document) -> list[Item]:
    """Return what was asked for, place by place: a job is a single one."""
    if "items" in document:
        return document["items"]
    return [{"index": 0, "name": document["name"], "job": document, "problem": None}]


def title_of(job: Job) -> str:
    """Return what a person recognises `job` by."""
    return job["name"] or job["prompt"] or job["source_url"] or job["id"]
