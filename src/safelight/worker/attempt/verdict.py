"""What an error in a run means for its attempt and its job; the one aim is never to pay twice.

Pure. An attempt ends only by a fact about the work (ADR 0002); an error of ours, of a look or of a
clock leaves it open. A job is queued again only where its attempt ends.
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
    """Nothing was begun at the provider: it refused, or was not called."""

    def __init__(self, error: SafelightError, ground: Ground) -> None:
        super().__init__(str(error))
        self.error = error
        self.ground = ground


class LookFailed(Exception):
    """A check or a look-up raised `error`, which says nothing about the work."""

    def __init__(self, error: SafelightError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a judgement depends on.

    `attempt` is None where nothing was sent. `patience` is how long after the job's time refused
    looks at paid work are repeated; `adopts_within` is the provider's.
    """

    job: Job
    attempt: Attempt | None
    now: datetime  # the database's
    policy: RetryPolicy
    jitter: float
    adopts_within: timedelta
    patience: timedelta
    look_again: timedelta  # the shortest pause between two looks of which one failed

    @property
    def end(self) -> datetime:
        """When the job's time is up."""
        return (self.job.started_at or self.now) + self.job.timeout


@dataclass(frozen=True, slots=True)
class Wait:
    """The attempt stays open, and its job waits to look again."""

    after: timedelta
    stage: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of the job, and of its attempt: it is closed, or stays open."""

    job: Decision | Wait
    closing: Closing | None = None
    error: SafelightError | None = None


def name(error: Exception, job: Job, *, timed_out: bool) -> SafelightError:
    """Return `error` as one of ours; what nobody foresaw is logged with its trace."""
    if isinstance(error, SafelightError):
        return error
    if isinstance(error, TimeoutError) and timed_out:
        return too_late(job)
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return StorageFull()
    _log.exception("a run failed unforeseen", exc_info=error)
    if isinstance(error, DatabaseError):
        return ServiceError("The database did not take a write.")
    return SafelightError()


def too_late(job: Job, why: str = ".") -> JobTimeout:
    """Return the error of a job whose time is up."""
    return JobTimeout(f"The job did not finish within {job.timeout_s:g} s{why}")


def unknown(reason: str) -> UnknownOutcome:
    """Return the error of a job that waits for a person to judge."""
    return UnknownOutcome(
        f"{reason} The work may have been done and paid for, so it is not repeated by itself. "
        "Redrive the job to pay again; `repeatable = true` of its model in the catalogue lets "
        "Safelight do so by itself."
    )


# --- judgements --------------------------------------------------------------------------------


def by_verdict(at: Situation, error: ProviderError, cost: int | None) -> Judgement:
    """Judge work that its provider says has failed."""
    closing = Closing(Outcome.FAILED, Ground.VERDICT, error.problem(), cost)
    return Judgement(_decide(at, error), closing, error)


def not_begun(at: Situation, error: SafelightError, ground: Ground) -> Judgement:
    """Judge an order of which nothing was begun."""
    outcome = Outcome.LOST if ground is Ground.UNSENT else Outcome.FAILED
    closing = Closing(outcome, ground, error.problem()) if at.attempt else None
    return Judgement(_decide(at, error), closing, error)


def absent(at: Situation, grace: timedelta) -> Judgement:
    """Judge an order that its provider confirms not to have received: it is placed once more.

    Not before `grace` is over, in which the worker that lost its lease may still send it.
    """
    if _has_arrived(at) or _may_be_brought(at, grace):
        return Judgement(Wait(_pace(at), UNHEARD))
    return Judgement(Snooze(at.now), Closing(Outcome.LOST, Ground.ABSENT))


def closed_meanwhile(at: Situation) -> Judgement:
    """Judge an attempt that another process has closed on proof: the job goes on without it."""
    return Judgement(Snooze(at.now))


def answer_lost(at: Situation, error: SafelightError) -> Judgement:
    """Judge an order that may have arrived, and whose answer is lost."""
    if at.job.repeatable:
        closing = Closing(Outcome.FAILED, Ground.REPEATABLE, error.problem())
        return Judgement(_decide(at, error), closing, error)
    if isinstance(error, JobTimeout):
        return Judgement(Fail(error), error=error)
    if _may_be_adopted(at):
        return Judgement(Wait(at.look_again, UNHEARD), error=error)
    return Judgement(Fail(unknown(error.detail)), error=error)


def look_failed(at: Situation, error: SafelightError) -> Judgement:
    """Judge a look at work that goes on: at what it costs, or where it may have been lost.

    A passing fault is borne until the job's time is up, a refusal much longer: the work may be
    done, and only somebody who mends the credentials can find out.
    """
    if isinstance(error, UnknownModel | JobTimeout):
        return Judgement(Fail(error), error=error)
    if at.now >= at.end and not _is_patient(error):
        return Judgement(Fail(too_late(at.job, f"; the last look failed: {error.detail}")))
    if at.now >= at.end + at.patience:
        return Judgement(Fail(unknown(f"The provider could not be asked: {error.detail}")))
    pace = error.retry_after or _pace(at)
    if not _is_patient(error):
        pace = min(pace, at.end - at.now)
    return Judgement(Wait(pace, f"asking the provider again: {error.title}"), error=error)


def _is_patient(error: SafelightError) -> bool:
    """Say whether the job's time does not end a wait: it is for us to mend, or for its operator."""
    if isinstance(error, ServiceError):
        return True
    return isinstance(error, ProviderError) and error.remedy not in (Remedy.RETRY, Remedy.WAIT)


def result_unfit(at: Situation, error: SafelightError, cost: int | None) -> Judgement:
    """Judge a result that was made, and paid for, and cannot be kept whatever is tried."""
    closing = Closing(Outcome.FAILED, Ground.VERDICT, error.problem(), cost)
    decision = _decide(at, error) if at.job.repeatable else Fail(error)
    return Judgement(decision, closing, error)


def unheard(at: Situation, grace: timedelta) -> Judgement:
    """Judge an attempt that nobody could tell anything about yet.

    `grace` is how long its worker, if it lives, has to bring the answer by itself.
    """
    if _has_arrived(at) or _may_be_adopted(at) or _may_be_brought(at, grace):
        return Judgement(Wait(_pace(at), UNHEARD))
    return Judgement(Fail(unknown("The provider was called and its answer was lost.")))


def _decide(at: Situation, error: SafelightError) -> Decision:
    return retry.decide(at.job, error, now=at.now, policy=at.policy, jitter=at.jitter)


def _has_arrived(at: Situation) -> bool:
    """Say whether the ticket came while the provider was being asked."""
    return at.attempt is not None and at.attempt.ticket is not None


def _may_be_adopted(at: Situation) -> bool:
    """Say whether a lost order is still looked for: counted from when its answer was lost."""
    lost_at = at.attempt.unknown_at if at.attempt else None
    return at.now < (lost_at or at.now) + at.adopts_within


def _may_be_brought(at: Situation, grace: timedelta) -> bool:
    lost_at = at.attempt.unknown_at if at.attempt else None
    return lost_at is not None and at.now < lost_at + grace


def _pace(at: Situation) -> timedelta:
    """Return how long to leave the provider alone: the longer, the older the attempt is."""
    age = at.now - at.attempt.created_at if at.attempt else timedelta()
    return min(max(age / _PART_OF_AGE, at.look_again), _MOST_PACE)


def can_have_it_again(job: Job, attempt: Attempt) -> bool:
    """Say whether a result that is lost here can be had once more without paying twice."""
    return job.repeatable or attempt.ticket is not None


def is_of_storage(error: ServiceError) -> bool:
    """Say whether our storage failed; else it was the database, which every run waits for."""
    return isinstance(error, StorageFailed | StorageFull)
