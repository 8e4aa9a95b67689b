"""The watch over followed subjects: who is woken by a round, and what it costs."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import timedelta

import pytest

from safelight.accounts.account import Caller
from safelight.doorbell import doorbell
from safelight.doorbell.memory import MemoryDoorbell
from safelight.errors import ServiceError
from safelight.web.watch import Watch

_AT_ONCE = timedelta()
_SOON = timedelta(seconds=10)
ANN, BOB = (Caller("acc_1", name, frozenset()) for name in ("key_ann", "key_bob"))


class Marks:
    """The marks of subjects, and the number of queries for them."""

    def __init__(self, **marks: int) -> None:
        self.now = marks
        self.asked: list[set[str]] = []
        self.failures: list[Exception] = []

    async def __call__(self, subjects: Collection[str]) -> Mapping[str, int]:
        self.asked.append(set(subjects))
        if self.failures:
            raise self.failures.pop(0)
        return {name: mark for name, mark in self.now.items() if name in subjects}


class Doorkeeper:
    """The callers that are no longer let in, and the questions about them."""

    def __init__(self, *ended: Caller) -> None:
        self.ended = set(ended)
        self.asked: list[set[Caller]] = []

    async def __call__(self, callers: Collection[Caller]) -> Collection[Caller]:
        self.asked.append(set(callers))
        return set(callers) - self.ended


def watching(
    marks: Marks, bell: MemoryDoorbell | None = None, keeper: Doorkeeper | None = None
) -> tuple[Watch, asyncio.Event]:
    stopping = asyncio.Event()
    watch = Watch(marks, keeper or Doorkeeper(), bell or MemoryDoorbell(), stopping, pace_s=0)
    return watch, stopping


async def test_round_when_some_are_behind_wakes_them_alone_with_one_question() -> None:
    marks = Marks(job_1=3, job_2=5)
    watch, _ = watching(marks)
    with (
        watch.follow("job_1", ANN) as even,
        watch.follow("job_2", ANN) as behind,
        watch.follow("gone", ANN) as gone,
    ):
        even.mark, behind.mark, gone.mark = 3, 4, 1
        await watch.round()
        assert marks.asked == [{"job_1", "job_2", "gone"}]
        assert not await even.wait(_AT_ONCE)
        assert await behind.wait(_AT_ONCE)
        assert await gone.wait(_AT_ONCE)


async def test_round_when_two_follow_one_subject_wakes_only_the_one_behind() -> None:
    watch, _ = watching(Marks(job_1=3))
    with watch.follow("job_1", ANN) as even, watch.follow("job_1", ANN) as behind:
        even.mark, behind.mark = 3, 2
        await watch.round()
        assert await behind.wait(_AT_ONCE)
        assert not await even.wait(_AT_ONCE)


async def test_round_when_many_are_followed_asks_in_parts() -> None:
    marks = Marks()
    watch, _ = watching(marks)
    viewers = [watch.follow(f"job_{number}", ANN) for number in range(501)]
    for each in viewers:
        each.__enter__().mark = 1
    await watch.round()
    assert sorted(map(len, marks.asked)) == [1, 500]
    for each in viewers:
        each.__exit__(None, None, None)


async def test_viewer_when_its_subject_rings_wakes_without_a_round() -> None:
    bell, marks = MemoryDoorbell(), Marks()
    watch, _ = watching(marks, bell)
    with watch.follow("job_1", ANN) as viewer:
        bell.ring(doorbell.subject("job_1"))
        assert await viewer.wait(_SOON)
    assert not marks.asked


async def test_viewer_when_the_server_stops_wakes_at_once() -> None:
    watch, stopping = watching(Marks())
    with watch.follow("job_1", ANN) as viewer:
        await asyncio.sleep(0)
        stopping.set()
        assert await viewer.wait(_SOON)


@pytest.mark.parametrize("error", [ServiceError("away"), RuntimeError("a bug")])
async def test_rounds_when_one_fails_go_on(error: Exception) -> None:
    marks = Marks(job_1=2)
    marks.failures = [error]
    watch = Watch(marks, Doorkeeper(), MemoryDoorbell(), asyncio.Event(), every_s=0.01)
    with watch.follow("job_1", ANN) as viewer:
        viewer.mark = 1
        assert await viewer.wait(_SOON)
    assert len(marks.asked) >= 2


async def test_round_when_a_caller_may_not_stay_ends_their_streams_alone() -> None:
    keeper = Doorkeeper(BOB)
    watch, _ = watching(Marks(job_1=1), keeper=keeper)
    with (
        watch.follow("job_1", ANN) as hers,
        watch.follow("job_1", BOB) as his,
        watch.follow("job_2", BOB) as early,
    ):
        hers.mark = his.mark = 1
        await watch.round()
        assert keeper.asked == [{ANN, BOB}]
        assert await his.wait(_AT_ONCE)
        assert await early.wait(_AT_ONCE)
        assert not await hers.wait(_AT_ONCE)
        assert (hers.may_stay, his.may_stay, early.may_stay) == (True, False, False)


async def test_round_when_marks_cannot_be_read_ends_streams_all_the_same() -> None:
    marks = Marks()
    marks.failures = [ServiceError("away")]
    watch, _ = watching(marks, keeper=Doorkeeper(BOB))
    with watch.follow("job_1", BOB) as his:
        his.mark = 1
        with pytest.raises(ServiceError):
            await watch.round()
        assert not his.may_stay
