"""Child processes: results and errors come back, progress is heard, limits and cancels hold."""

import asyncio
import gc
import os
import time
import warnings
from collections.abc import AsyncIterator

import pytest

from safelight import cpu
from safelight.cpu import CpuPool, Limits, OutOfResources
from safelight.providers.errors import NoForeground
from tests.servers import wait_until_async


@pytest.fixture
async def pool() -> AsyncIterator[CpuPool]:
    pool = CpuPool(2)
    yield pool
    pool.close()
    # anyio leaves the pipes of a child that died to the garbage collector, which closes them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def add(one: int, other: int) -> int:
    cpu.report(50, "adding")
    return one + other


def refuse() -> None:
    raise NoForeground("nothing there", errors=[{"field": "x", "message": "y"}])


def spin() -> None:
    while True:
        pass


def swallow() -> int:
    return len(bytearray(8 * 2**30))


def take_memory(size: int) -> int:
    return len(bytearray(size))


def tell_pid(seconds: float) -> int:
    cpu.report(1, str(os.getpid()))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    return os.getpid()


def die() -> None:
    os.kill(os.getpid(), 9)


async def test_run_when_done_returns_the_result_and_progress(pool: CpuPool) -> None:
    heard: list[tuple[float, str]] = []
    total = await pool.run(add, 2, 3, report=lambda percent, stage: heard.append((percent, stage)))
    assert total == 5

    async def told() -> bool:
        return heard == [(50.0, "adding")]

    await wait_until_async(told)


async def test_run_when_the_function_raises_passes_the_error_on(pool: CpuPool) -> None:
    with pytest.raises(NoForeground) as caught:
        await pool.run(refuse)
    assert caught.value.detail == "nothing there"
    assert caught.value.errors == [{"field": "x", "message": "y"}]


@pytest.mark.parametrize(
    ("function", "limits"),
    [
        (spin, Limits(cpu_s=1)),
        (spin, Limits(wall_s=0.3)),
        (swallow, Limits(memory_bytes=2 * 2**30)),
        (die, Limits()),
    ],
    ids=["processor", "clock", "memory", "killed"],
)
async def test_run_when_a_limit_is_passed_says_so_and_the_pool_lives_on(
    pool: CpuPool, function: object, limits: Limits
) -> None:
    with pytest.raises(OutOfResources):
        await pool.run(function, limits=limits)  # pyright: ignore[reportArgumentType]
    assert await pool.run(add, 1, 1) == 2


async def test_run_when_memory_is_limited_counts_only_what_the_call_adds(pool: CpuPool) -> None:
    limits = Limits(memory_bytes=64 * 2**20)
    assert await pool.run(take_memory, 48 * 2**20, limits=limits) == 48 * 2**20
    with pytest.raises(OutOfResources):
        await pool.run(take_memory, 80 * 2**20, limits=limits)
    assert await pool.run(take_memory, 48 * 2**20, limits=limits) == 48 * 2**20


async def test_run_when_canceled_kills_the_child(pool: CpuPool) -> None:
    pids: list[int] = []
    call = asyncio.ensure_future(
        pool.run(tell_pid, 60.0, report=lambda _, pid: pids.append(int(pid)))
    )

    async def begun() -> bool:
        return bool(pids)

    async def gone() -> bool:
        return not _lives(pids[0])

    await wait_until_async(begun)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await wait_until_async(gone)


async def test_run_when_more_calls_come_than_children_keeps_to_the_size(pool: CpuPool) -> None:
    pids = await asyncio.gather(*(pool.run(tell_pid, 0.05) for _ in range(8)))
    assert len(set(pids)) == 2


async def test_loop_when_children_compute_stays_responsive(pool: CpuPool) -> None:
    calls = asyncio.gather(*(pool.run(tell_pid, 0.5) for _ in range(2)))
    ticks = 0
    while not calls.done():
        await asyncio.sleep(0.01)
        ticks += 1
    await calls
    assert ticks > 10


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
