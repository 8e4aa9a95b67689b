"""Jobs, attempts and batches, and the state machine of jobs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NotRequired, TypedDict

from safelight import documents
from safelight.accounts.account import Visibility
from safelight.documents.batch import BatchStatus
from safelight.json_object import JsonObject
from safelight.providers.errors import UnknownOutcome


class JobStatus(StrEnum):
    """The status of a job. The public API shows `waiting` as `running` with a stage."""

    QUEUED = "queued"  # waits for its time or for a worker
    RUNNING = "running"  # a worker has the lease
    WAITING = "waiting"  # the provider has it, and no worker is occupied
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


FINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED})


class Move(StrEnum):
    """A transition of a job from one status to another."""

    CLAIM = "claim"
    PARK = "park"
    SUCCEED = "succeed"
    RETRY = "retry"
    SNOOZE = "snooze"
    RELEASE = "release"
    RESCUE = "rescue"
    BURY = "bury"
    EXPIRE = "expire"
    FAIL = "fail"
    CANCEL = "cancel"
    REDRIVE = "redrive"


_QUEUED, _RUNNING, _WAITING, _SUCCEEDED, _FAILED, _CANCELED = JobStatus

# Release and rescue lead to `waiting` if an attempt is open: it must be resumed, not repeated.
# A success is fenced by its open attempt, not by a lease: a worker may have lost its lease.
MOVES: Mapping[Move, tuple[frozenset[JobStatus], frozenset[JobStatus]]] = {
    Move.CLAIM: (frozenset({_QUEUED, _WAITING}), frozenset({_RUNNING})),
    Move.PARK: (frozenset({_RUNNING}), frozenset({_WAITING})),
    Move.SUCCEED: (frozenset({_RUNNING, _WAITING, _FAILED}), frozenset({_SUCCEEDED})),
    Move.RETRY: (frozenset({_RUNNING}), frozenset({_QUEUED})),
    Move.SNOOZE: (frozenset({_RUNNING}), frozenset({_QUEUED})),
    Move.RELEASE: (frozenset({_RUNNING}), frozenset({_QUEUED, _WAITING})),
    Move.RESCUE: (frozenset({_RUNNING}), frozenset({_QUEUED, _WAITING})),
    Move.BURY: (frozenset({_RUNNING}), frozenset({_FAILED})),
    Move.EXPIRE: (frozenset({_QUEUED}), frozenset({_FAILED})),
    Move.FAIL: (frozenset({_RUNNING}), frozenset({_FAILED})),
    Move.CANCEL: (frozenset({_QUEUED, _WAITING, _RUNNING}), frozenset({_CANCELED})),
    Move.REDRIVE: (frozenset({_FAILED, _CANCELED}), frozenset({_QUEUED})),
}

# The event of each move. A claim to check on a provider and the park after it change nothing
# visible to users, so they are silent; see jobs/ledger/moves.py.
EVENT_OF: Mapping[Move, str] = {
    Move.CLAIM: "job.started",
    Move.PARK: "job.waiting",
    Move.SUCCEED: "job.succeeded",
    Move.RETRY: "job.retrying",
    Move.SNOOZE: "job.queued",
    Move.RELEASE: "job.queued",
    Move.RESCUE: "job.queued",
    Move.BURY: "job.failed",
    Move.EXPIRE: "job.failed",
    Move.FAIL: "job.failed",
    Move.CANCEL: "job.canceled",
    Move.REDRIVE: "job.queued",
}

MAX_CRASHES = 3


class StaleJob(Exception):
    """Another process moved this job first; the caller must abandon it and write nothing."""


class AttemptState(StrEnum):
    """The state of an attempt. Until `closed` it may cost money, and is resumed, not repeated."""

    SENT = "sent"
    TICKETED = "ticketed"
    UNKNOWN = "unknown"  # sent, and the response was lost
    CLOSED = "closed"


class Ground(StrEnum):
    """The fact that closed an attempt. The database rejects closing without one.

    The last three concern requests that were never sent, that cost nothing to repeat, or that a
    person has decided on.
    """

    NONE = "none"  # it is open
    EARLIER = "earlier"  # closed before grounds were recorded
    VERDICT = "verdict"  # the provider finished this work, successfully or not
    REFUSED = "refused"  # the provider rejected the request: nothing was started
    ABSENT = "absent"  # the provider confirms that it never received the request
    CANCELED = "canceled"  # the provider confirms that the work has stopped
    UNSENT = "unsent"  # the request never left this process
    REPEATABLE = "repeatable"  # its model is marked as safe to repeat
    PERSON = "person"


WITHOUT_TICKET = frozenset({Ground.ABSENT, Ground.REPEATABLE})
"""Grounds that hold only for an attempt without a ticket."""

COSTS_NOTHING = frozenset({Ground.REFUSED, Ground.ABSENT, Ground.UNSENT, Ground.REPEATABLE})


class Outcome(StrEnum):
    """How a closed attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    LOST = "lost"  # its worker died, and repeating it is safe


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to write a job; void as soon as another process has moved it.

    The fencing token `fence` is random, so that a database that lost its last commits cannot
    issue it twice.
    """

    job_id: str
    fence: int


class Plan(TypedDict):
    """The columns of a job that depend on its model; a fallback replaces them."""

    model: str
    provider: str
    params: JsonObject
    lane: str
    timeout_s: float
    repeatable: bool
    max_attempts: int
    estimate_micros: int | None


class NewJob(Plan):
    """The row of a job about to be queued; it is due at `run_at`, by default now."""

    id: str
    account_id: str
    kind: str
    fallbacks: list[Plan]
    inputs: Sequence[str | documents.JobSource]
    name: str
    external_id: str
    tags: list[str]
    metadata: JsonObject
    priority: int
    visibility: Visibility | None  # None: as the account's default
    keep_s: float | None  # likewise
    run_at: datetime | None
    start_by: datetime | None
    prompt: NotRequired[str]
    source_url: NotRequired[str]
    webhook_url: NotRequired[str | None]
    notify: NotRequired[list[str] | None]
    batch_id: NotRequired[str]
    batch_index: NotRequired[int]


class NewBatch(TypedDict):
    """The row of a batch about to be created; `problems` are of its rejected items."""

    id: str
    account_id: str
    kind: str
    name: str
    problems: list[JsonObject]
    tags: list[str]
    metadata: JsonObject
    webhook_url: str
    notify: list[str] | None


@dataclass(frozen=True, slots=True)
class Job:
    """A row of `jobs`."""

    id: str
    account_id: str
    kind: str
    status: JobStatus
    stage: str | None
    progress: float
    prompt: str
    model: str
    provider: str
    params: JsonObject
    fallbacks: list[Plan]
    first_plan: JsonObject | None  # before the first fallback
    inputs: list[str]
    source_url: str
    name: str
    external_id: str
    batch_id: str | None
    batch_index: int | None
    tags: list[str]
    metadata: JsonObject
    webhook_url: str  # notified of its end; empty: none
    notify: list[str] | None  # contacts and channels to notify; None: as they choose
    lane: str
    priority: int
    ready: bool
    run_at: datetime
    start_by: datetime | None
    timeout_s: float
    visibility: Visibility  # of its outputs
    keep_s: float | None  # how long outputs are kept; None: as in the settings
    repeatable: bool
    max_attempts: int
    attempts: int
    crashes: int
    wakes: int
    fence: int
    leased_by: str | None
    leased_until: datetime | None
    seq: int
    error: JsonObject | None
    cost_micros: int | None  # of all attempts; None: partly unknown
    cost_known_micros: int | None
    estimate_micros: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_final(self) -> bool:
        """Whether it has ended; a redrive or a late result can still change that."""
        return self.status in FINAL

    @property
    def awaits_result(self) -> bool:
        """Whether it accepts a result of its open attempt, as after an unknown outcome."""
        if self.status is JobStatus.FAILED:
            return (self.error or {}).get("code") == UnknownOutcome.code
        return self.status in (JobStatus.RUNNING, JobStatus.WAITING)

    @property
    def timeout(self) -> timedelta:
        """The time limit from its first start."""
        return timedelta(seconds=self.timeout_s)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a job is: the `seq` of its last event, and whether it has ended."""

    account_id: str
    seq: int
    is_final: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of `attempts`: one try of one job at one provider."""

    id: str
    job_id: str
    number: int
    provider: str
    state: AttemptState
    ground: Ground
    outcome: Outcome | None
    ticket: str | None
    error: JsonObject | None
    cost_micros: int | None
    created_at: datetime
    sent_at: datetime | None
    ticketed_at: datetime | None
    unknown_at: datetime | None
    closed_at: datetime | None
    look_at: datetime | None  # the janitor's next lookup; None while its job is not final
    cancels: int  # requested at the provider, unconfirmed

    @property
    def is_open(self) -> bool:
        """Whether it may still cost money."""
        return self.state is not AttemptState.CLOSED


@dataclass(frozen=True, slots=True)
class Batch:
    """A row of `batches`. Its status is derived from its jobs, never stored."""

    id: str
    account_id: str
    kind: str
    name: str
    problems: list[JsonObject]
    tags: list[str]
    metadata: JsonObject
    webhook_url: str  # notified of its end; empty: none
    notify: list[str] | None  # contacts and channels to notify; None: as they choose
    seq: int
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Tally:
    """A batch's progress: job counts by status, and the summed percent of unfinished jobs."""

    counts: Mapping[JobStatus, int]
    percent: float
    problems: int  # items that never became a job

    @property
    def total(self) -> int:
        """The number of items."""
        return sum(self.counts.values()) + self.problems

    @property
    def progress(self) -> float:
        """Percent of the whole; finished jobs count in full, however they ended."""
        ended = sum(self.counts.get(status, 0) for status in FINAL) + self.problems
        return round((self.percent + 100.0 * ended) / self.total, 1) if self.total else 100.0


def batch_status(tally: Tally) -> BatchStatus:
    """Derive a batch's status from the counts of its jobs."""
    counts, problems, total = tally.counts, tally.problems, tally.total
    done = {status: counts.get(status, 0) for status in FINAL}
    if sum(done.values()) + problems < total:
        untouched = counts.get(JobStatus.QUEUED, 0) + problems == total
        return "queued" if untouched else "running"
    if done[JobStatus.SUCCEEDED] == total:
        return "succeeded"
    if done[JobStatus.SUCCEEDED]:
        return "partial"
    return "canceled" if done[JobStatus.CANCELED] == total else "failed"
