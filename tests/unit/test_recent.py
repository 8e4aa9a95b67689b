"""A check that takes time is done again only when its result is old."""

import pytest

from safelight.errors import ServiceError
from safelight.web.recent import Recent


class Check:
    """A check that a test lets fail, and the clock it is timed by."""

    def __init__(self) -> None:
        self.now = 0.0
        self.done = 0
        self.fails = False

    async def __call__(self) -> None:
        self.done += 1
        if self.fails:
            raise ServiceError("It is down.")


async def test_check_when_it_was_well_then_counts_for_a_minute() -> None:
    check = Check()
    recent = Recent(check, clock=lambda: check.now)
    for check.now in (0, 30, 59):
        await recent()
    assert check.done == 1
    check.now, check.fails = 60, True
    with pytest.raises(ServiceError, match="It is down"):
        await recent()
    assert check.done == 2


async def test_check_when_it_failed_then_is_soon_done_again() -> None:
    check = Check()
    check.fails = True
    recent = Recent(check, clock=lambda: check.now)
    for check.now in (0, 4):
        with pytest.raises(ServiceError):
            await recent()
    check.now, check.fails = 5, False
    await recent()
    assert check.done == 2
