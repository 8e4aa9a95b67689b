"""What a job and its attempts are, and the only moves between their statuses."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from safelight.accounts.account import Visibility
from safelight.documents.batch import BatchStatus


class JobStatus(StrEnum):
    """Where a job is. The public API shows `waiting` as `running` with a stage."""

    QUEUED = "queued"  # waits for its time or for a worker
    RUNNING = "running"  # a worker holds the lease
    WAITING = "waiting"  # the provider has it; no worker is held
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


FINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED})


class Move(StrEnum):
    """A verb that takes a job from one status to another."""

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

# Release and rescue lead to `waiting` where an attempt is open: it must be resumed, not repeated.
# A success is fenced by its open attempt, not by a lease: it may come from a worker that lost its.
MOVES: Mapping[Move, tuple[frozenset[JobStatus], frozenset[JobStatus]]] = {
    Move.CLAIM: (frozenset({_QUEUED, _WAITING}), frozenset({_RUNNING})),
    Move.PARK: (frozenset({_RUNNING}), frozenset({_WAITING})),
    Move.SUCCEED: (frozenset({_RUNNING, _WAITING}), frozenset({_SUCCEEDED})),
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

# What each move tells the world, by where it leads. A claim to check on a provider and the park
# that follows it change nothing that a user sees, so they are silent; see jobs/ledger/store.py.
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
    """Someone else moved this job first; whoever hears it lets go and writes nothing."""


class AttemptState(StrEnum):
    """How far an attempt is. Open until `closed`: it may cost money, and is resumed, not redone."""

    SENT = "sent"
    TICKETED = "ticketed"
    UNKNOWN = "unknown"  # sent, and nobody knows what became of it
    CLOSED = "closed"


class Ground(StrEnum):
    """The fact that closed an attempt. There are no others: the database refuses to close without.

    The last three are about orders that were never received, that cost nothing to repeat, or that
    somebody has decided about.
    """

    NONE = "none"  # it is open
    EARLIER = "earlier"  # closed before grounds were written
    VERDICT = "verdict"  # the provider ended this very work, well or not
    REFUSED = "refused"  # the provider refused the order: nothing was begun
    ABSENT = "absent"  # the provider confirms that it never received the order
    CANCELED = "canceled"  # the provider confirms that nothing of the work goes on
    UNSENT = "unsent"  # the order never left this process
    REPEATABLE = "repeatable"  # its model is marked as safe to repeat
    PERSON = "person"


COSTS_NOTHING = frozenset({Ground.REFUSED, Ground.ABSENT, Ground.UNSENT, Ground.REPEATABLE})


class Outcome(StrEnum):
    """How a closed attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    LOST = "lost"  # its worker died, and doing it again is safe


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to write a job: void as soon as anybody else has moved it.

    `fence` is random, so that a database that lost its last commits cannot hand it out twice.
    """

    job_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class Job:
    """One row of `jobs`."""

    id: str
    account_id: str
    kind: str
    status: JobStatus
    stage: str | None
    progress: float
    prompt: str
    model: str
    provider: str
    params: dict[str, Any]
    fallbacks: list[dict[str, Any]]
    first_plan: dict[str, Any] | None  # what it was before it fell back
    inputs: list[str]
    source_url: str
    name: str
    external_id: str
    batch_id: str | None
    batch_index: int | None
    tags: list[str]
    metadata: dict[str, Any]
    webhook_url: str  # told of its end; empty is nobody
    notify: list[str] | None  # contacts and channels told of it; None is as those say
    lane: str
    priority: int
    ready: bool
    run_at: datetime
    start_by: datetime | None
    timeout_s: float
    visibility: Visibility  # of its outputs
    keep_s: float | None  # how long its outputs stay; None is as the installation says
    repeatable: bool
    max_attempts: int
    attempts: int
    crashes: int
    wakes: int
    fence: int
    leased_by: str | None
    leased_until: datetime | None
    seq: int
    error: dict[str, Any] | None
    cost_micros: int | None  # of all attempts; None: part of it is unknown
    cost_known_micros: int | None
    estimate_micros: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_final(self) -> bool:
        """Say whether nothing more will happen to it unless someone redrives it."""
        return self.status in FINAL

    @property
    def timeout(self) -> timedelta:
        """The longest that it may take from its first start."""
        return timedelta(seconds=self.timeout_s)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row of `attempts`: one try of one job at one provider."""

    id: str
    job_id: str
    number: int
    provider: str
    state: AttemptState
    ground: Ground
    outcome: Outcome | None
    ticket: str | None
    error: dict[str, Any] | None
    cost_micros: int | None
    created_at: datetime
    sent_at: datetime | None
    ticketed_at: datetime | None
    unknown_at: datetime | None
    closed_at: datetime | None
    look_at: datetime | None  # when the janitor looks at it; None while its job is not final
    cancels: int  # asked for at the provider, and not confirmed

    @property
    def is_open(self) -> bool:
        """Say whether it may still cost money."""
        return self.state is not AttemptState.CLOSED


@dataclass(frozen=True, slots=True)
class Batch:
    """One row of `batches`. Its status is derived from its jobs, never stored."""

    id: str
    account_id: str
    kind: str
    name: str
    problems: list[dict[str, Any]]
    tags: list[str]
    metadata: dict[str, Any]
    webhook_url: str  # told of its end; empty is nobody
    notify: list[str] | None  # contacts and channels told of it; None is as those say
    seq: int
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a batch is: its jobs by status, and the percent that those not yet final have."""

    counts: Mapping[JobStatus, int]
    percent: float
    problems: int  # items that never became a job

    @property
    def total(self) -> int:
        """All items."""
        return sum(self.counts.values()) + self.problems

    @property
    def progress(self) -> float:
        """Percent of the whole; what is final counts in full, however it ended."""
        ended = sum(self.counts.get(status, 0) for status in FINAL) + self.problems
        return round((self.percent + 100.0 * ended) / self.total, 1) if self.total else 100.0


def batch_status(tally: Tally) -> BatchStatus:
    """Derive a batch's status from how many of its jobs are in which status."""
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
