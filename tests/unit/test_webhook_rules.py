"""An endpoint's event filter, its retry schedule, and the signature of a message."""

import base64
from datetime import timedelta

import pytest

from safelight.events import TYPES
from safelight.webhooks.delivery import wait_after
from safelight.webhooks.endpoint import matches, new_secret, sign, unknown_patterns

SIGNATURE_VECTOR = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("pattern", "kind", "wanted"),
    [
        ("job.failed", "job.failed", True),
        ("job.failed", "job.failed.again", False),
        ("job.*", "job.failed", True),
        ("job.*", "batch.finished", False),
        ("*", "batch.finished", True),
    ],
)
def test_matches_when_a_pattern_ends_in_a_star_takes_all_that_begin_so(
    pattern: str, kind: str, *, wanted: bool
) -> None:
    assert matches(pattern, kind) is wanted


def test_unknown_patterns_when_one_fits_no_event_names_it() -> None:
    assert unknown_patterns(["job.*", "joy.*", "job.won"], TYPES) == ["joy.*", "job.won"]


def test_sign_when_given_the_specification_s_example_agrees() -> None:
    """The vector is the one of the Standard Webhooks specification's libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  published with the vector
    body = b'{"test": 2432232314}'
    assert sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == SIGNATURE_VECTOR


def test_new_secret_when_made_holds_thirty_two_bytes() -> None:
    assert len(base64.b64decode(new_secret().removeprefix("whsec_"))) == 32


def test_wait_after_when_tries_go_on_grows_to_a_day_and_then_ends() -> None:
    waits = [wait_after(tries, 0.0) for tries in range(1, 11)]
    assert waits[0] == timedelta(seconds=5)
    assert waits[8] == timedelta(hours=24)
    assert waits[9] is None
    assert wait_after(1, 1.0) == timedelta(seconds=5.5)
