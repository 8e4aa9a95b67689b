"""Retry policy: after a failure, a job is retried, snoozed, moved to a fallback, or fails. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from safelight.cpu import OutOfResources
from safelight.errors import Remedy, SafelightError, restored
from safelight.jobs.errors import JobTimeout
from safelight.jobs.job import Job
from safelight.providers.errors import (
    ProviderError,
    ProviderOutOfCredit,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnauthorized,
    UnknownModel,
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff: `base`, twice that, four times … up to `cap`, each with jitter."""

    base: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed and is closed; another is due at `at`.

    With a `reason`, the job times out at `at` and fails with it.
    """

    at: datetime
    reason: SafelightError | None = None


@dataclass(frozen=True, slots=True)
class Snooze:
    """Try again at `until`, without using an attempt. `reason` is as in `Retry`."""

    until: datetime
    reason: SafelightError | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """The job fails with this error."""

    error: SafelightError


@dataclass(frozen=True, slots=True)
class FallBack:
    """The provider is at fault; the job switches to its fallback model."""

    error: SafelightError


Decision = Retry | Snooze | Fail | FallBack

_PATIENCE = timedelta(seconds=30)  # how long to wait for a provider before falling back
_DEFAULT_WAIT = timedelta(seconds=5)
_SUSPECT = 2  # crashes
_APART = timedelta(seconds=10)  # plus or minus half
_LEAST_WAIT = timedelta(seconds=1)  # a Retry-After of 0 must not cause a busy loop


def decide(
    job: Job, error: SafelightError, *, now: datetime, policy: RetryPolicy, jitter: float
) -> Decision:
    """Return what `job` does about `error`. `job.attempts` counts the failed one too.

    `jitter` is a random number from 0 to 1. A requested Retry-After is honored in full, never
    shortened by jitter. A wait beyond the job's timeout ends there, and the job fails with the
    error it waited on.
    """
    if isinstance(error, JobTimeout) and job.error is not None:
        return Fail(restored(job.error))
    decision = _here(job, error, now=now, policy=policy, jitter=jitter)
    if not job.fallbacks or not _is_the_provider_s(error):
        return decision
    is_last = isinstance(decision, Fail) or decision.reason is not None
    is_long = isinstance(decision, Snooze) and not is_short(decision.until - now)
    return FallBack(error) if is_last or is_long else decision


def is_short(wait: timedelta) -> bool:
    """Return whether a wait is short enough not to fall back to another provider."""
    return wait <= _PATIENCE


def _here(
    job: Job, error: SafelightError, *, now: datetime, policy: RetryPolicy, jitter: float
) -> Retry | Snooze | Fail:
    """Return the decision on `error` without considering fallbacks."""
    end = _end_of(job)
    if error.remedy is Remedy.WAIT:
        wait = _DEFAULT_WAIT if error.retry_after is None else error.retry_after
        until = now + max(wait, _LEAST_WAIT)
        if end is None or until < end:
            return Snooze(until)
        return Fail(error) if now >= end else Snooze(end, error)
    # Work that may have been done is repeated only if that costs nothing.
    again = error.remedy is Remedy.RETRY or (error.remedy is Remedy.UNKNOWN and job.repeatable)
    if not again or job.attempts >= job.max_attempts:
        return Fail(error)
    at = now + backoff(job.attempts, policy, jitter)
    if error.retry_after is not None:
        at = max(at, now + error.retry_after)
    if end is None or at < end:
        return Retry(at)
    return Fail(error) if now >= end else Retry(end, error)


def _is_the_provider_s(error: SafelightError) -> bool:
    """Return whether another provider might succeed.

    Content rejected by moderation is not sent to another provider.
    """
    return isinstance(
        error,
        ProviderRateLimited
        | ProviderOutOfCredit
        | ProviderUnauthorized
        | ProviderRejected
        | UnknownModel,
    ) or (isinstance(error, ProviderError | OutOfResources) and error.remedy is Remedy.RETRY)


def backoff(attempts: int, policy: RetryPolicy, jitter: float) -> timedelta:
    """Return the wait after the `attempts`-th failure: half fixed, half random."""
    doublings = min(max(attempts - 1, 0), 16)
    full = min(policy.base * 2**doublings, policy.cap)
    return full * (0.5 + 0.5 * jitter)


def after_crash(crashes: int, *, jitter: float) -> timedelta:
    """Return the wait after a job's `crashes`-th worker crash.

    After the first crash, jobs continue at once. After a second one, any of the jobs involved may
    be the cause: they restart at different times, so that a third crash identifies it.
    """
    return timedelta() if crashes < _SUSPECT else _APART * (0.5 + jitter)


def _end_of(job: Job) -> datetime | None:
    """Return when the job times out; None if it has not started."""
    return None if job.started_at is None else job.started_at + job.timeout
