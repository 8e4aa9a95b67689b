"""Decides what a failed attempt means for its job: again later, not now, or never. Pure."""

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

    With a `reason`, the job's time is up at `at`: it fails then, with this.
    """

    at: datetime
    reason: SafelightError | None = None


@dataclass(frozen=True, slots=True)
class Snooze:
    """Not now: look again at `until`. Costs no attempt. `reason` is as in `Retry`."""

    until: datetime
    reason: SafelightError | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """The job has failed for good, with this problem."""

    error: SafelightError


@dataclass(frozen=True, slots=True)
class FallBack:
    """The provider is at fault; the job goes to its next model."""

    error: SafelightError


Decision = Retry | Snooze | Fail | FallBack

_PATIENCE = timedelta(seconds=30)  # with a provider that asks to wait, while another could do it
_DEFAULT_WAIT = timedelta(seconds=5)
_SUSPECT = 2  # deaths
_APART = timedelta(seconds=10)  # give or take half of it
_LEAST_WAIT = timedelta(seconds=1)  # whoever asks for none shall not be asked without end


def decide(
    job: Job, error: SafelightError, *, now: datetime, policy: RetryPolicy, jitter: float
) -> Decision:
    """Return what `job` does about `error`. `job.attempts` counts the failed one too.

    `jitter` is a random number from 0 to 1. A wait the other side asked for is honoured in full,
    and never shortened by the jitter. One that outlasts the job's time ends with it, and the job
    fails then, with what it waited for.
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
    """Say whether work waits so long for its provider, though another could do it now."""
    return wait <= _PATIENCE


def _here(
    job: Job, error: SafelightError, *, now: datetime, policy: RetryPolicy, jitter: float
) -> Retry | Snooze | Fail:
    """Return what the job does about `error` as long as it stays with its model."""
    end = _end_of(job)
    if error.remedy is Remedy.WAIT:
        wait = _DEFAULT_WAIT if error.retry_after is None else error.retry_after
        until = now + max(wait, _LEAST_WAIT)
        if end is None or until < end:
            return Snooze(until)
        return Fail(error) if now >= end else Snooze(end, error)
    # What may or may not have been done is done again only where that costs nothing.
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
    """Say whether another provider might do what this one could not.

    What its moderation refused is not taken elsewhere.
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
    """Return the wait after the `attempts`-th failure: half of it fixed, half of it random."""
    doublings = min(max(attempts - 1, 0), 16)
    full = min(policy.base * 2**doublings, policy.cap)
    return full * (0.5 + 0.5 * jitter)


def after_crash(crashes: int, *, jitter: float) -> timedelta:
    """Return the wait of a job whose `crashes`-th worker has died.

    One death is no job's fault, and the job goes on at once. Of those that were running at two,
    one may be killing its workers: they come back apart, so that the third death is its alone.
    """
    return timedelta() if crashes < _SUSPECT else _APART * (0.5 + jitter)


def _end_of(job: Job) -> datetime | None:
    """Return when the job's time is up, None where it does not run yet."""
    return None if job.started_at is None else job.started_at + job.timeout
