"""How long a lost answer is looked for: counted from the loss, however late it came."""

from datetime import timedelta

import pytest

from safelight.errors import ServiceError
from safelight.jobs.job import Attempt, AttemptState, Ground
from safelight.jobs.retry import Fail, RetryPolicy
from safelight.providers.errors import UnknownOutcome
from safelight.worker.attempt import verdict
from safelight.worker.attempt.verdict import Situation, Wait
from tests import factories
from tests.factories import NOON

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def situation(*, sent_before: timedelta, lost_before: timedelta | None) -> Situation:
    """Return an order sent a while ago, whose answer was lost then, or only now."""
    sent_at = NOON - sent_before
    lost_at = None if lost_before is None else NOON - lost_before
    attempt = Attempt(
        id="att_1",
        job_id="job_1",
        number=1,
        provider="fake",
        state=AttemptState.SENT if lost_at is None else AttemptState.UNKNOWN,
        ground=Ground.NONE,
        outcome=None,
        ticket=None,
        error=None,
        cost_micros=None,
        created_at=sent_at,
        sent_at=sent_at,
        ticketed_at=None,
        unknown_at=lost_at,
        closed_at=None,
        look_at=None,
        cancels=0,
    )
    return Situation(
        factories.job(started_at=sent_at, repeatable=False),
        attempt,
        now=NOON,
        policy=RetryPolicy(),
        jitter=1.0,
        adopts_within=MINUTE,
        patience=HOUR,
        look_again=SECOND,
    )


def test_answer_when_it_is_lost_late_is_still_looked_for() -> None:
    at = situation(sent_before=HOUR, lost_before=None)
    assert isinstance(verdict.answer_lost(at, ServiceError("gone")).job, Wait)


@pytest.mark.parametrize(("lost_before", "waits"), [(MINUTE / 2, True), (2 * MINUTE, False)])
def test_unheard_order_when_time_passes_is_given_to_a_person(
    lost_before: timedelta, waits: bool
) -> None:
    at = situation(sent_before=HOUR, lost_before=lost_before)
    judged = verdict.unheard(at, timedelta()).job
    assert isinstance(judged, Wait) is waits
    assert waits or (isinstance(judged, Fail) and isinstance(judged.error, UnknownOutcome))
