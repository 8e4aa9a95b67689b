"""Child processes: results and errors come back, progress is heard, limits and cancels hold."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from safelight import cpu
from safelight.app import USED_IN_CHILDREN
from safelight.cpu import CpuPool, Limits, OutOfResources
from safelight.cpu.pool import ChildFailed
from safelight.providers.errors import NoForeground
from tests.servers import wait_until_async


@pytest.fixture
async def pool() -> AsyncIterator[CpuPool]:
    pool = CpuPool(2)
    yield pool
    pool.close()


def add(one: int, other: int) -> int:
    cpu.report(50, "adding")
    return one + other


def refuse() -> None:
    raise NoForeground("nothing there", errors=[{"field": "x", "message": "y"}])


def fail() -> None:
    raise LookupError("where is it")


def spin() -> None:
    while True:
        pass


def ignore_and_spin() -> None:
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    spin()


def swallow() -> int:
    return len(bytearray(8 * 2**30))


def take_memory(size: int) -> int:
    return len(bytearray(size))


def work(seconds: float) -> tuple[int, float, float]:
    """Tell the process, and when it began and ended, on the clock of all processes."""
    cpu.report(1, str(os.getpid()))
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        pass
    return os.getpid(), began, time.monotonic()


def die() -> None:
    os.kill(os.getpid(), 9)


def name_another(path: Path) -> Path:
    return path


def return_text() -> int:
    return "no number"  # pyright: ignore[reportReturnType]


def whoami() -> tuple[int, list[str], int]:
    """Tell this process's parent, the names in its environment, and its number of threads."""
    names = [text.split("=")[0] for text in Path("/proc/self/environ").read_text().split("\0")]
    return os.getppid(), names, len(list(Path("/proc/self/task").iterdir()))


async def test_run_when_done_returns_the_result_and_progress(pool: CpuPool) -> None:
    heard: list[tuple[float, str]] = []
    total = await pool.run(add, 2, 3, report=lambda percent, stage: heard.append((percent, stage)))
    assert total == 5
    assert heard == [(50.0, "adding")]


async def test_run_when_the_function_raises_passes_the_error_on(pool: CpuPool) -> None:
    with pytest.raises(NoForeground) as caught:
        await pool.run(refuse)
    assert caught.value.detail == "nothing there"
    assert caught.value.errors == [{"field": "x", "message": "y"}]
    with pytest.raises(ChildFailed, match="LookupError: where is it"):
        await pool.run(fail)


@pytest.mark.parametrize(
    ("function", "limits"),
    [
        (spin, Limits(cpu_s=1)),
        (ignore_and_spin, Limits(cpu_s=1)),
        (spin, Limits(wall_s=0.3)),
        (swallow, Limits(memory_bytes=2 * 2**30)),
        (die, Limits()),
    ],
    ids=["processor", "processor, ignored", "clock", "memory", "killed"],
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


async def test_run_when_canceled_kills_the_child(pool: CpuPool) -> None:
    pids: list[int] = []
    call = asyncio.ensure_future(pool.run(work, 60.0, report=lambda _, pid: pids.append(int(pid))))

    async def begun() -> bool:
        return bool(pids)

    async def gone() -> bool:
        return not _lives(pids[0])

    await wait_until_async(begun)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await wait_until_async(gone)


async def test_run_when_the_server_dies_starts_another(pool: CpuPool) -> None:
    server, _, _ = await pool.run(whoami)
    call = asyncio.ensure_future(pool.run(work, 60.0))
    os.kill(server, signal.SIGKILL)
    with pytest.raises(OutOfResources):
        await call
    assert (await pool.run(whoami))[0] != server


async def test_run_when_a_child_is_new_it_has_one_thread_and_no_environment_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAFELIGHT_OPENAI_API_KEY", "sk-secret")
    pool = CpuPool(1, modules=USED_IN_CHILDREN)
    server, names, threads = await pool.run(whoami)
    assert threads == 1
    assert psutil.Process(server).num_threads() == 1, "forking threads is not safe"
    for known in (names, psutil.Process(server).environ()):
        assert not {"SAFELIGHT_OPENAI_API_KEY", "HOME", "PATH"} & set(known)
    pool.close()


async def test_run_when_a_child_answers_nonsense_it_is_not_believed(
    pool: CpuPool, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    assert await pool.run(name_another, made, writes=[tmp_path]) == made
    with pytest.raises(ChildFailed):
        await pool.run(name_another, Path("/etc/passwd"), writes=[tmp_path])
    with pytest.raises(ChildFailed):
        await pool.run(name_another, tmp_path / ".." / "other", writes=[tmp_path])
    with pytest.raises(ChildFailed):
        await pool.run(return_text)


async def test_run_when_more_calls_come_than_children_keeps_to_the_size(pool: CpuPool) -> None:
    await pool.run(add, 1, 1)
    spans = [span for _, *span in await asyncio.gather(*(pool.run(work, 0.4) for _ in range(6)))]
    at_once = [sum(began <= moment < ended for began, ended in spans) for moment, _ in spans]
    assert max(at_once) == 2


@pytest.mark.slow
async def test_run_when_called_often_leaves_nothing_behind(pool: CpuPool) -> None:
    server = psutil.Process((await pool.run(whoami))[0])

    async def alone() -> bool:
        return not server.children()

    await wait_until_async(alone)
    own, its = psutil.Process().num_fds(), server.num_fds()
    for _ in range(50):
        await pool.run(add, 1, 1)
    await wait_until_async(alone)
    assert (psutil.Process().num_fds(), server.num_fds()) == (own, its)


async def test_close_when_calls_run_ends_all_processes(pool: CpuPool) -> None:
    pids = [(await pool.run(whoami))[0]]
    call = asyncio.ensure_future(pool.run(work, 60.0, report=lambda _, pid: pids.append(int(pid))))

    async def begun() -> bool:
        return len(pids) == 2

    await wait_until_async(begun)
    pool.close()
    with pytest.raises(OutOfResources):
        await call

    async def gone() -> bool:
        return not any(_lives(pid) for pid in pids)

    await wait_until_async(gone)


async def test_loop_when_children_compute_stays_responsive(pool: CpuPool) -> None:
    calls = asyncio.gather(*(pool.run(work, 0.5) for _ in range(2)))
    ticks = 0
    while not calls.done():
        await asyncio.sleep(0.01)
        ticks += 1
    await calls
    assert ticks > 10


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
