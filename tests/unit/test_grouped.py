"""Grouped reads: who shares one, who never does, and how errors come back."""

import asyncio
from collections.abc import Sequence

from safelight.errors import ServiceError
from safelight.grouped import Grouped


class Reads:
    """Reads that end when their gate opens; each answers with its own number and the question."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.groups: list[list[str]] = []
        self.errors: list[Exception] = []

    async def __call__(self, asked: Sequence[str]) -> list[str]:
        self.groups.append(list(asked))
        number = len(self.groups)
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        return [f"{number} {each}" for each in asked]


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_grouped_when_reads_are_under_way_later_questions_share_the_next() -> None:
    reads = Reads()
    grouped = Grouped[str, str](reads)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(grouped("a"))]
        await settled()
        tasks.append(group.create_task(grouped("b")))
        await settled()
        tasks += [group.create_task(grouped(name)) for name in ("c", "d", "c")]
        await settled()
        assert reads.groups == [["a"], ["b"]]
        reads.gate.set()
    # Nobody is answered by a read that had begun before the question.
    assert [each.result() for each in tasks] == ["1 a", "2 b", "3 c", "3 d", "3 c"]


async def test_grouped_when_a_read_fails_raises_to_its_callers_alone() -> None:
    reads = Reads()
    grouped = Grouped[str, str](reads)
    reads.errors = [ServiceError("away")]
    reads.gate.set()
    results = await asyncio.gather(grouped("a"), grouped("b"), return_exceptions=True)
    assert [type(each) for each in results] == [ServiceError, ServiceError]
    assert await grouped("c") == "2 c"


async def test_grouped_when_a_caller_leaves_the_others_are_answered() -> None:
    reads = Reads()
    grouped = Grouped[str, str](reads)
    async with asyncio.TaskGroup() as group:
        leaves, stays = (group.create_task(grouped(name)) for name in ("a", "b"))
        await settled()
        leaves.cancel()
        reads.gate.set()
    assert stays.result() == "1 b"


async def test_grouped_when_all_leave_before_their_read_reads_nothing() -> None:
    reads = Reads()
    grouped = Grouped[str, str](reads)
    async with asyncio.TaskGroup() as group:
        leaves = group.create_task(grouped("a"))
        await asyncio.sleep(0)
        leaves.cancel()
    await settled()
    assert reads.groups == []
