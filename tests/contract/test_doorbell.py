"""What every doorbell plug must do."""

import asyncio
from datetime import timedelta

import pytest

from safelight.doorbell.doorbell import Doorbell
from safelight.doorbell.memory import MemoryDoorbell

SOON = timedelta(seconds=5)
NOT_LONG = timedelta(milliseconds=30)


@pytest.fixture(params=[MemoryDoorbell])
def doorbell(request: pytest.FixtureRequest) -> Doorbell:
    return request.param()


async def test_wait_when_a_topic_rings_returns_it(doorbell: Doorbell) -> None:
    with doorbell.listen("lane:local", "halt") as bell:
        asyncio.get_running_loop().call_soon(doorbell.ring, "lane:local")
        assert await bell.wait(SOON) == {"lane:local"}


async def test_wait_when_nothing_rings_returns_after_the_time(doorbell: Doorbell) -> None:
    with doorbell.listen("lane:local") as bell:
        doorbell.ring("lane:gpu")
        assert await bell.wait(NOT_LONG) == frozenset()


async def test_rings_when_nobody_waits_yet_are_kept_as_one(doorbell: Doorbell) -> None:
    with doorbell.listen("a", "b") as bell:
        for _ in range(1000):
            doorbell.ring("a")
        doorbell.ring("b")
        assert await bell.wait(SOON) == {"a", "b"}
        assert await bell.wait(NOT_LONG) == frozenset()


async def test_ring_when_several_listen_wakes_them_all(doorbell: Doorbell) -> None:
    with doorbell.listen("a") as one, doorbell.listen("a") as other:
        doorbell.ring("a")
        assert await asyncio.gather(one.wait(SOON), other.wait(SOON)) == [{"a"}, {"a"}]


async def test_ring_when_the_listener_has_left_is_no_error(doorbell: Doorbell) -> None:
    with doorbell.listen("a"):
        pass
    doorbell.ring("a")
