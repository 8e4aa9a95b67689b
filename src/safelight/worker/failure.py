"""What an error in a run means for its attempt and its job; the one aim is never to pay twice."""

import errno
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from safelight import telemetry
from safelight.errors import (
    JobTimeout,
    OutOfResources,
    ProviderError,
    ProviderWorkFailed,
    Remedy,
    SafelightError,
    ServiceError,
    StorageFailed,
    StorageFull,
)
from safelight.jobs import attempts, moves, retry
from safelight.jobs.job import Attempt, AttemptState, Claim, Job, Outcome
from safelight.jobs.retry import Decision
from safelight.providers.provider import Done

_log = telemetry.logger(__name__)

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


def name(error: Exception, job: Job, *, timed_out: bool) -> SafelightError:
    """Return `error` as one of ours; what nobody foresaw is logged with its trace."""
    if isinstance(error, SafelightError):
        return error
    if isinstance(error, TimeoutError) and timed_out:
        return too_late(job)
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return StorageFull()
    _log.exception("a run failed unforeseen", exc_info=error)
    if isinstance(error, SQLAlchemyError):
        return ServiceError("The database did not take a write.")
    return SafelightError()


def too_late(job: Job) -> JobTimeout:
    """Return the error of a job whose time is up."""
    return JobTimeout(f"The job did not finish within {job.timeout_s:g} s.")


def must_resume(attempt: Attempt, error: SafelightError) -> bool:
    """Say whether a passing fault hit a look at work that goes on, to be looked at again later.

    Work whose answer was lost may go on as well; work that the provider gave up does not.
    """
    if isinstance(error, ProviderWorkFailed):
        return False
    passing = error.remedy in (Remedy.RETRY, Remedy.WAIT)
    return attempt.state in (AttemptState.TICKETED, AttemptState.UNKNOWN) and passing


def may_be_adopted(job: Job, attempt: Attempt, error: SafelightError, within: timedelta) -> bool:
    """Say whether work whose answer was lost may still be heard of, and must not be done anew."""
    if (
        job.repeatable
        or error.remedy is not Remedy.UNKNOWN
        or attempt.state is not AttemptState.SENT
    ):
        return False
    return datetime.now(UTC) < attempt.created_at + within


def is_of_storage(error: ServiceError) -> bool:
    """Say whether our storage failed; else it was the database, which every run waits for."""
    return isinstance(error, StorageFailed | StorageFull)


def can_have_it_again(job: Job, attempt: Attempt) -> bool:
    """Say whether a result that got lost here can be had once more without paying twice."""
    return job.repeatable or attempt.ticket is not None


def may_start_again(job: Job, attempt: Attempt, error: SafelightError, done: Done | None) -> bool:
    """Say whether work that was sent and ended in `error` may be begun anew.

    What may have cost money may only where the provider itself says that it failed. It has not
    where its answer was lost: the error then is of asking, not of the work.
    """
    if job.repeatable:
        return True
    if attempt.state is AttemptState.UNKNOWN:
        return False
    said_by_provider = isinstance(error, ProviderError) and not isinstance(error, OutOfResources)
    return said_by_provider and done is None


def settle(
    tx: Connection,
    claim: Claim,
    attempt: Attempt | None,
    decision: Decision,
    error: SafelightError,
    done: Done | None,
) -> Job:
    """Close the attempt and move the job as decided."""
    problem = error.problem()
    if attempt is not None and not _goes_on(attempt, error, done):
        cost = None if done is None else done.cost_micros
        attempts.close(tx, attempt.id, Outcome.FAILED, error=problem, cost_micros=cost)
    match decision:
        case retry.Retry(at, reason):
            end_with = reason and reason.problem()
            return moves.retry(tx, claim, at=at, error=problem, end_with=end_with)
        case retry.Snooze(until, reason):
            if attempt is not None:
                attempts.uncount(tx, claim.job_id)
            end_with = reason and reason.problem()
            return moves.snooze(tx, claim, until=until, reason=error.title, end_with=end_with)
        case retry.FallBack():
            return moves.fall_back(tx, claim, error=problem)
        case retry.Fail(why):
            return moves.fail(tx, claim, error=why.problem())


def _goes_on(attempt: Attempt, error: SafelightError, done: Done | None) -> bool:
    """Say whether the provider still works on it: then the janitor cancels it there, and closes."""
    if attempt.state is not AttemptState.TICKETED or done is not None:
        return False
    return isinstance(error, JobTimeout) or not isinstance(error, ProviderError)
