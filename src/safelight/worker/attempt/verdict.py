"""Decides what an error means for attempt and job; the overriding goal is never to pay twice.

Pure. Only a fact about the work closes an attempt (ADR 0002); errors of ours, failed lookups and
timeouts leave it open. A job is queued again only if its attempt is closed.
"""

import errno
from dataclasses import dataclass
from datetime import datetime, timedelta

from safelight import telemetry
from safelight.db import DatabaseError
from safelight.errors import Remedy, SafelightError, ServiceError, StorageFull
from safelight.jobs import retry
from safelight.jobs.errors import JobTimeout
from safelight.jobs.job import Attempt, Ground, Job, Outcome
from safelight.jobs.ledger.attempts import Closing
from safelight.jobs.retry import Decision, Fail, RetryPolicy, Snooze
from safelight.providers.errors import ProviderError, UnknownModel, UnknownOutcome
from safelight.storage.errors import StorageFailed

_log = telemetry.logger(__name__)

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_MOST_PACE = timedelta(seconds=60)
_PART_OF_AGE = 10

UNHEARD = "waiting to hear whether the provider has it"


class NotBegun(Exception):
    """No work was started: the provider refused, or was not called."""

    def __init__(self, error: SafelightError, ground: Ground) -> None:
        super().__init__(str(error))
        self.error = error
        self.ground = ground


class LookFailed(Exception):
    """A check or lookup raised `error`, which says nothing about the work."""

    def __init__(self, error: SafelightError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class Situation:
    """The inputs of a judgment.

    `attempt` is None if nothing was sent. `patience` is how long after the job's timeout refused
    lookups of paid work are retried; `adopts_within` is the provider's.
    """

    job: Job
    attempt: Attempt | None
    now: datetime  # the database's
    policy: RetryPolicy
    jitter: float
    adopts_within: timedelta
    patience: timedelta
    look_again: timedelta  # minimum pause after a failed lookup

    @property
    def end(self) -> datetime:
        """The job's timeout."""
        return (self.job.started_at or self.now) + self.job.timeout


@dataclass(frozen=True, slots=True)
class Wait:
    """The attempt stays open, and the job waits for the next lookup."""

    after: timedelta
    stage: str


@dataclass(frozen=True, slots=True)
class Judgment:
    """The decision on the job, and on its attempt, which is closed or stays open."""

    job: Decision | Wait
    closing: Closing | None = None
    error: SafelightError | None = None


def name(error: Exception, job: Job, *, timed_out: bool) -> SafelightError:
    """Return `error` as a Safelight error; unexpected ones are logged with a traceback."""
    if isinstance(error, SafelightError):
        return error
    if isinstance(error, TimeoutError) and timed_out:
        return too_late(job)
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return StorageFull()
    _log.exception("unexpected error in a run", exc_info=error)
    if isinstance(error, DatabaseError):
        return ServiceError("The database rejected a write.")
    return SafelightError()


def too_late(job: Job, why: str = ".") -> JobTimeout:
    """Return the error of a job that timed out."""
    return JobTimeout(f"The job did not finish within {job.timeout_s:g} s{why}")


def unknown(reason: str) -> UnknownOutcome:
    """Return the error of a job whose outcome a person must judge."""
    return UnknownOutcome(
        f"{reason} The work may have been done and paid for, so it is not repeated automatically. "
        "Redrive the job to pay again, or set `repeatable = true` for its model in the catalog to "
        "let Safelight repeat it."
    )


# --- judgments --------------------------------------------------------------------------------


def by_verdict(at: Situation, error: ProviderError, cost: int | None) -> Judgment:
    """Judge work that the provider reports as failed."""
    closing = Closing(Outcome.FAILED, Ground.VERDICT, error.problem(), cost)
    return Judgment(_decide(at, error), closing, error)


def not_begun(at: Situation, error: SafelightError, ground: Ground) -> Judgment:
    """Judge a request for which no work was started."""
    outcome = Outcome.LOST if ground is Ground.UNSENT else Outcome.FAILED
    closing = Closing(outcome, ground, error.problem()) if at.attempt else None
    return Judgment(_decide(at, error), closing, error)


def absent(at: Situation, grace: timedelta) -> Judgment:
    """Judge a request that the provider confirms it never received: it is sent again.

    Not before `grace` has passed, because a worker that lost its lease may still send it.
    """
    if _has_arrived(at) or _may_be_brought(at, grace):
        return Judgment(Wait(_pace(at), UNHEARD))
    return Judgment(Snooze(at.now), Closing(Outcome.LOST, Ground.ABSENT))


def closed_meanwhile(at: Situation) -> Judgment:
    """Judge an attempt that another process has closed: the job continues without it."""
    return Judgment(Snooze(at.now))


def answer_lost(at: Situation, error: SafelightError) -> Judgment:
    """Judge a request that may have arrived, but whose response was lost.

    A callback may have brought the ticket, or there is one and only the result was not stored.
    """
    if _has_arrived(at):
        return look_failed(at, error)
    if at.job.repeatable:
        closing = Closing(Outcome.FAILED, Ground.REPEATABLE, error.problem())
        return Judgment(_decide(at, error), closing, error)
    if isinstance(error, JobTimeout):
        return Judgment(Fail(error), error=error)
    if _may_be_adopted(at):
        return Judgment(Wait(at.look_again, UNHEARD), error=error)
    return Judgment(Fail(unknown(error.detail)), error=error)


def look_failed(at: Situation, error: SafelightError) -> Judgment:
    """Judge a failed lookup of work in progress, or of a request that may be lost.

    Transient faults are retried until the job's timeout, refusals much longer: the work may be
    done, and only fixing the credentials can tell.
    """
    if isinstance(error, UnknownModel | JobTimeout):
        return Judgment(Fail(error), error=error)
    if at.now >= at.end and not _is_patient(error):
        return Judgment(Fail(too_late(at.job, f"; the last look failed: {error.detail}")))
    if at.now >= at.end + at.patience:
        return Judgment(Fail(unknown(f"The provider could not be asked: {error.detail}")))
    pace = error.retry_after or _pace(at)
    if not _is_patient(error):
        pace = min(pace, at.end - at.now)
    return Judgment(Wait(pace, f"asking the provider again: {error.title}"), error=error)


def _is_patient(error: SafelightError) -> bool:
    """Return whether retries continue past the timeout: we or the operator must fix the error."""
    if isinstance(error, ServiceError):
        return True
    return isinstance(error, ProviderError) and error.remedy not in (Remedy.RETRY, Remedy.WAIT)


def result_unfit(at: Situation, error: SafelightError, cost: int | None) -> Judgment:
    """Judge a result that was paid for but cannot be stored, because it is invalid."""
    closing = Closing(Outcome.FAILED, Ground.VERDICT, error.problem(), cost)
    decision = _decide(at, error) if at.job.repeatable else Fail(error)
    return Judgment(decision, closing, error)


def unheard(at: Situation, grace: timedelta) -> Judgment:
    """Judge an attempt whose state is still unknown.

    `grace` is how long its worker, if alive, may still deliver the response.
    """
    if _has_arrived(at) or _may_be_adopted(at) or _may_be_brought(at, grace):
        return Judgment(Wait(_pace(at), UNHEARD))
    return Judgment(Fail(unknown("The provider was called and its answer was lost.")))


def _decide(at: Situation, error: SafelightError) -> Decision:
    return retry.decide(at.job, error, now=at.now, policy=at.policy, jitter=at.jitter)


def _has_arrived(at: Situation) -> bool:
    """Return whether the ticket arrived during the lookup."""
    return at.attempt is not None and at.attempt.ticket is not None


def _may_be_adopted(at: Situation) -> bool:
    """Return whether a lost request may still be adopted, counted from the loss of its response."""
    lost_at = at.attempt.unknown_at if at.attempt else None
    return at.now < (lost_at or at.now) + at.adopts_within


def _may_be_brought(at: Situation, grace: timedelta) -> bool:
    lost_at = at.attempt.unknown_at if at.attempt else None
    return lost_at is not None and at.now < lost_at + grace


def _pace(at: Situation) -> timedelta:
    """Return the backoff before the next lookup: the longer, the older the attempt is."""
    age = at.now - at.attempt.created_at if at.attempt else timedelta()
    return min(max(age / _PART_OF_AGE, at.look_again), _MOST_PACE)


def can_have_it_again(job: Job, attempt: Attempt) -> bool:
    """Return whether a lost result can be fetched or made again without paying twice."""
    return job.repeatable or attempt.ticket is not None


def is_of_storage(error: ServiceError) -> bool:
    """Return whether our storage failed, as opposed to the database."""
    return isinstance(error, StorageFailed | StorageFull)
