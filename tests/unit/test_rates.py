"""One thing that is asked for too often has to wait; others do not."""

from datetime import timedelta

import pytest

from safelight.web.errors import TooManyRequests
from safelight.web.rates import Rates


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rates_when_asked_within_the_limit_let_all_through() -> None:
    clock = Clock()
    rates = Rates(clock=clock)
    for _ in range(100):
        rates.take("a", 10)
        clock.now += 0.1


def test_rates_when_asked_too_often_say_when_to_come_again() -> None:
    clock = Clock()
    rates = Rates(clock=clock)
    for _ in range(20):  # two seconds' worth at once
        rates.take("a", 10)
    with pytest.raises(TooManyRequests) as refused:
        rates.take("a", 10)
    assert refused.value.retry_after
    assert timedelta(0) < refused.value.retry_after <= timedelta(seconds=0.11)
    rates.take("b", 10)
    clock.now += 0.11
    rates.take("a", 10)
    with pytest.raises(TooManyRequests):
        rates.take("a", 10)


def test_rates_when_there_is_no_limit_never_refuse() -> None:
    rates = Rates(clock=Clock())
    for _ in range(1000):
        rates.take("a", 0)


def test_rates_when_very_many_names_come_forget_the_oldest() -> None:
    rates = Rates(clock=Clock())
    for number in range(20_000):
        rates.take(str(number), 1)
    assert len(rates) == 10_000
