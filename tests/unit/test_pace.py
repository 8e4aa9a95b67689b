"""The pace learned from a provider's rate limits, and its recovery."""

from datetime import timedelta

import pytest

from safelight.jobs.scheduling.pace import grown, slowed


@pytest.mark.parametrize(
    ("taken", "pace", "expected"),
    [
        (100, None, 80),
        (100, 50, 40),
        (30, 50, 24),  # it was not even given what it was thought to bear
        (3, 50, 10),
        (10, None, 10),
        (9, None, None),  # somebody else has used the limit up
        (0, None, None),
    ],
)
def test_slowed_when_refused_is_a_part_of_what_was_taken(
    taken: int, pace: float | None, expected: float | None
) -> None:
    assert slowed(taken, pace) == expected


def test_grown_when_time_passes_is_more_and_then_none() -> None:
    assert grown(40, timedelta()) == 40
    assert grown(40, timedelta(minutes=2)) == pytest.approx(90)
    assert grown(40, timedelta(minutes=11)) is None
    assert grown(None, timedelta()) is None
