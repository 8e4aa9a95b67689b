"""The reactions of a job to an error: retry later, wait, or never."""

from datetime import timedelta

import pytest

from safelight import errors
from safelight.errors import Remedy, SafelightError
from safelight.fetch.errors import FetchError
from safelight.jobs.errors import JobTimeout
from safelight.jobs.retry import (
    Decision,
    Fail,
    FallBack,
    Retry,
    RetryPolicy,
    Snooze,
    after_crash,
    backoff,
    decide,
)
from safelight.providers.errors import ProviderError, ProviderRateLimited, UnknownOutcome
from tests import factories
from tests.factories import NOON

SECOND = timedelta(seconds=1)
POLICY = RetryPolicy(base=SECOND, cap=timedelta(seconds=60))


def decided(met: SafelightError, *, jitter: float = 1.0, **changes: object) -> Decision:
    return decide(factories.job(**changes), met, now=NOON, policy=POLICY, jitter=jitter)


def test_passing_fault_when_tries_are_left_is_tried_again_after_the_backoff() -> None:
    assert decided(ProviderError()) == Retry(NOON + SECOND)
    assert decided(ProviderError(), attempts=2) == Retry(NOON + 2 * SECOND)


def test_passing_fault_when_no_try_is_left_fails_with_that_fault() -> None:
    error = ProviderError()
    assert decided(error, attempts=3, max_attempts=3) == Fail(error)


def test_passing_fault_before_anything_was_sent_costs_no_try() -> None:
    assert isinstance(decided(FetchError(), attempts=0, max_attempts=1), Retry)


@pytest.mark.parametrize(
    "kind", [kind for kind in errors.codes().values() if kind.remedy is Remedy.NEVER]
)
def test_lasting_fault_when_it_comes_fails_at_once(kind: type[SafelightError]) -> None:
    error = kind()
    assert decided(error, attempts=1, max_attempts=20) == Fail(error)


def test_unknown_outcome_when_work_costs_money_is_never_repeated() -> None:
    error = UnknownOutcome()
    assert decided(error, repeatable=False) == Fail(error)


def test_unknown_outcome_when_work_is_safe_to_repeat_is_tried_again() -> None:
    assert isinstance(decided(UnknownOutcome(), repeatable=True), Retry)
    error = UnknownOutcome()
    assert decided(error, repeatable=True, attempts=3) == Fail(error)


def test_rate_limit_when_it_names_a_wait_is_honoured_in_full() -> None:
    error = ProviderRateLimited(retry_after=timedelta(seconds=40))
    assert decided(error, jitter=0.0) == Snooze(NOON + timedelta(seconds=40))


def test_rate_limit_when_all_tries_are_spent_still_waits() -> None:
    error = ProviderRateLimited(retry_after=SECOND)
    assert isinstance(decided(error, attempts=3), Snooze)


@pytest.mark.parametrize("wait", [timedelta(), timedelta(seconds=-7)])
def test_rate_limit_when_it_names_no_real_wait_waits_a_second(wait: timedelta) -> None:
    assert decided(ProviderRateLimited(retry_after=wait)) == Snooze(NOON + SECOND)


def test_rate_limit_when_it_names_nothing_waits_some_seconds() -> None:
    assert decided(ProviderRateLimited()) == Snooze(NOON + 5 * SECOND)


@pytest.mark.parametrize("kind", [ProviderRateLimited, ProviderError])
def test_wait_when_it_outlasts_the_job_s_time_ends_with_it_and_gives_its_own_reason(
    kind: type[SafelightError],
) -> None:
    error = kind("busy", retry_after=timedelta(seconds=900), errors=[{"field": "n"}], request="r1")
    found = decided(error, timeout_s=600.0)
    assert isinstance(found, Snooze | Retry)
    assert (found, found.reason) == (type(found)(NOON + timedelta(seconds=600), error), error)
    ended = decided(JobTimeout(), timeout_s=600.0, error=error.problem())
    assert isinstance(ended, Fail)
    assert type(ended.error) is kind
    assert ended.error.problem() == error.problem()


@pytest.mark.parametrize("kind", [ProviderRateLimited, ProviderError])
def test_wait_when_the_job_s_time_is_up_fails_at_once(kind: type[SafelightError]) -> None:
    error = kind()
    assert decided(error, started_at=NOON - timedelta(seconds=600), timeout_s=600.0) == Fail(error)


@pytest.mark.parametrize("wait_s", [31, 900])
def test_wait_when_another_model_could_do_it_is_borne_for_half_a_minute(wait_s: int) -> None:
    following = [{"model": "second"}]
    error = ProviderRateLimited(retry_after=timedelta(seconds=30))
    assert decided(error, fallbacks=following) == Snooze(NOON + timedelta(seconds=30))
    error = ProviderRateLimited(retry_after=timedelta(seconds=wait_s))
    assert decided(error, fallbacks=following, timeout_s=600.0) == FallBack(error)


def test_wait_when_the_job_has_not_started_its_time_runs_not_yet() -> None:
    error = ProviderRateLimited(retry_after=timedelta(hours=1))
    assert isinstance(decided(error, started_at=None), Snooze)


def test_passing_fault_when_it_names_a_longer_wait_than_the_backoff_waits_that_long() -> None:
    error = ProviderError(retry_after=timedelta(seconds=30))
    assert decided(error) == Retry(NOON + timedelta(seconds=30))
    assert decided(ProviderError(retry_after=timedelta())) == Retry(NOON + SECOND)


def test_backoff_when_it_grows_doubles_up_to_the_cap() -> None:
    waits = [backoff(attempts, POLICY, 1.0).total_seconds() for attempts in range(1, 10)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_backoff_when_jittered_is_between_half_and_all() -> None:
    assert backoff(3, POLICY, 0.0) == timedelta(seconds=2)
    assert backoff(3, POLICY, 0.5) == timedelta(seconds=3)


def test_after_crash_when_it_is_the_first_waits_for_nothing() -> None:
    assert after_crash(1, jitter=1.0) == timedelta()


def test_after_crash_when_it_is_the_second_parts_who_ran_together() -> None:
    assert after_crash(2, jitter=0.0) == timedelta(seconds=5)
    assert after_crash(2, jitter=1.0) == timedelta(seconds=15)


def test_backoff_when_numbers_are_absurd_does_not_overflow() -> None:
    policy = RetryPolicy(base=timedelta(days=10_000), cap=timedelta(days=20_000))
    assert backoff(10**6, policy, 1.0) == timedelta(days=20_000)
    assert backoff(0, policy, 1.0) == timedelta(days=10_000)
