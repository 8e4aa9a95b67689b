"""How long hosts are left alone, on a clock that a test turns."""

from datetime import timedelta

import pytest

from safelight.fetch.errors import FetchPaused
from safelight.fetch.pauses import HostPauses

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pauses(clock: Clock) -> HostPauses:
    return HostPauses(longest=HOUR, clock=clock)


def rest_of(pauses: HostPauses, host: str = "a.example") -> timedelta | None:
    with pytest.raises(FetchPaused) as caught:
        pauses.check(host)
    return caught.value.retry_after


def test_check_when_a_host_asked_for_a_pause_then_tells_the_rest_of_it(
    pauses: HostPauses, clock: Clock
) -> None:
    pauses.note("a.example", MINUTE)
    clock.now_s += 20
    assert rest_of(pauses) == timedelta(seconds=40)
    pauses.check("b.example")


def test_check_when_the_pause_is_over_then_passes_and_forgets(
    pauses: HostPauses, clock: Clock
) -> None:
    pauses.note("a.example", MINUTE)
    clock.now_s += 60
    pauses.check("a.example")
    assert len(pauses) == 0


def test_note_when_the_wait_is_beyond_all_measure_then_is_cut(pauses: HostPauses) -> None:
    pauses.note("a.example", timedelta(days=365))
    assert rest_of(pauses) == HOUR


def test_note_when_answers_cross_then_the_longest_wait_counts(
    pauses: HostPauses, clock: Clock
) -> None:
    pauses.note("a.example", MINUTE)
    pauses.note("a.example", MINUTE / 2)
    assert rest_of(pauses) == MINUTE
    clock.now_s += 30
    pauses.note("a.example", MINUTE)
    assert rest_of(pauses) == MINUTE


def test_note_when_very_many_hosts_ask_then_forgets_the_one_unheard_of_for_longest(
    pauses: HostPauses,
) -> None:
    pauses.note("old.example", MINUTE)
    pauses.note("used.example", MINUTE)
    for number in range(4094):
        pauses.note(f"{number}.example", MINUTE)
    rest_of(pauses, "used.example")
    rest_of(pauses, "old.example")
    pauses.note("one-more.example", MINUTE)
    assert len(pauses) == 4096
    pauses.check("0.example")
    assert rest_of(pauses, "used.example") == MINUTE
    assert rest_of(pauses, "old.example") == MINUTE
