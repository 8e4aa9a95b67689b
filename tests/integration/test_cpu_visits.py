"""Children that stay for several calls: of one tenant, for a while, and only if none fails."""

import asyncio
import json
import os
import signal
import socket
import threading
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from safelight import cpu
from safelight.cpu import CpuPool, Limits, OutOfResources, results, visits
from safelight.cpu.frames import Kind, packed
from safelight.cpu.pool import ChildFailed
from safelight.providers.errors import NoForeground
from tests.servers import wait_until_async

_CHANNEL = 3  # the child's end
_SMALL = Limits(memory_bytes=64 * 2**20)


@pytest.fixture
async def pool(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CpuPool]:
    monkeypatch.setattr(visits, "MOST_S", 60)  # this machine may be busy
    pool = CpuPool(2)
    yield pool
    pool.close()


_held: list[bytearray] = []


def whoami() -> int:
    return os.getpid()


def pause(seconds: float) -> int:
    cpu.report(1, str(os.getpid()))
    threading.Event().wait(seconds)
    return os.getpid()


def refuse() -> None:
    raise NoForeground


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_if_used() -> int:
    if _held:
        die()
    _held.append(bytearray())
    return os.getpid()


def leak(size: int) -> int:
    _held.append(bytearray(size))
    return os.getpid()


def spin() -> None:
    while True:
        pass


def twice(data: bytes) -> list[bytes]:
    return [data, data]


def send_nested() -> int:
    """Send JSON that is too deep for the parser as the result."""
    text = b"[" * 100_000
    os.write(_CHANNEL, packed(Kind.RESULT, len(text).to_bytes(4) + text))
    return 0


async def gone(pid: int) -> None:
    async def is_gone() -> bool:
        return not psutil.pid_exists(pid)

    await wait_until_async(is_gone)


async def test_run_when_a_tenant_comes_again_uses_its_child(pool: CpuPool) -> None:
    first = await pool.run(whoami, tenant="a")
    assert await pool.run(whoami, tenant="a") == first
    assert await pool.run(whoami) != first, "a call without a tenant has a child of its own"


async def test_run_when_tenants_mix_no_child_serves_two(pool: CpuPool) -> None:
    served: dict[int, set[str]] = defaultdict(set)

    async def call(tenant: str) -> None:
        served[await pool.run(whoami, tenant=tenant)].add(tenant)

    await asyncio.gather(*(call(f"tenant {number % 6}") for number in range(60)))
    for number in range(20):
        await call(f"tenant {number % 3}")
    assert all(len(tenants) == 1 for tenants in served.values())
    assert len(served) < 80, "no child was used twice"


async def test_run_when_limits_differ_uses_another_child(pool: CpuPool) -> None:
    first = await pool.run(whoami, tenant="a")
    assert await pool.run(whoami, tenant="a", limits=_SMALL) != first


async def test_run_when_a_child_has_served_enough_calls_starts_another(
    pool: CpuPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "MOST_CALLS", 3)
    pids = [await pool.run(whoami, tenant="a") for _ in range(7)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
    await gone(pids[0])


async def test_run_when_a_child_is_old_ends_it_even_if_nobody_calls(
    pool: CpuPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "MOST_S", 0.2)
    await gone(await pool.run(whoami, tenant="a"))
    busy = await pool.run(pause, 0.3, tenant="a")  # is too old after its first call
    assert await pool.run(whoami, tenant="a") != busy


async def test_run_when_many_tenants_come_keeps_few_idle_children(pool: CpuPool) -> None:
    pids = [await pool.run(whoami, tenant=f"tenant {number}") for number in range(7)]
    for pid in pids[:-4]:
        await gone(pid)
    assert await pool.run(whoami, tenant="tenant 3") == pids[3]


async def test_run_when_the_child_dies_fails_only_that_call(pool: CpuPool) -> None:
    first = await pool.run(whoami, tenant="a")
    with pytest.raises(OutOfResources):
        await pool.run(die, tenant="a")
    await gone(first)
    assert await pool.run(whoami, tenant="a") != first


async def test_run_when_a_used_child_fails_lets_a_new_one_decide(pool: CpuPool) -> None:
    first = await pool.run(die_if_used, tenant="a")
    assert await pool.run(die_if_used, tenant="a") != first
    first = await pool.run(leak, 48 * 2**20, tenant="a", limits=_SMALL)
    second = await pool.run(leak, 48 * 2**20, tenant="a", limits=_SMALL)
    assert second != first, "what the first call left counts"
    with pytest.raises(OutOfResources):
        await pool.run(leak, 80 * 2**20, tenant="a", limits=_SMALL)


async def test_run_when_a_call_is_refused_ends_the_child(pool: CpuPool) -> None:
    first = await pool.run(whoami, tenant="a")
    with pytest.raises(NoForeground):
        await pool.run(refuse, tenant="a")
    await gone(first)


@pytest.mark.parametrize("limits", [Limits(cpu_s=1), Limits(wall_s=5.0)], ids=["cpu", "clock"])
async def test_run_when_a_call_takes_too_long_ends_the_child(
    pool: CpuPool, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safelight.cpu.pool.MOST_S", 0)
    first = await pool.run(whoami, tenant="a", limits=limits)
    with pytest.raises(OutOfResources):
        await pool.run(spin, tenant="a", limits=limits)
    await gone(first)


async def test_run_when_canceled_ends_the_child(pool: CpuPool) -> None:
    pids = [await pool.run(whoami, tenant="a")]
    call = asyncio.ensure_future(
        pool.run(pause, 60.0, tenant="a", report=lambda _, pid: pids.append(int(pid)))
    )

    async def begun() -> bool:
        return len(pids) == 2

    await wait_until_async(begun)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert pids[0] == pids[1]
    await gone(pids[0])


async def test_run_when_an_idle_child_has_died_starts_another(pool: CpuPool) -> None:
    first = await pool.run(whoami, tenant="a")
    os.kill(first, signal.SIGKILL)
    await gone(first)
    assert await pool.run(whoami, tenant="a") != first


async def test_take_when_an_idle_child_has_spoken_unasked_ends_it() -> None:
    ours, its = socket.socketpair()
    ours.setblocking(False)
    idle = visits.Visits(1, lambda: ours)
    idle.keep(idle.start("a", Limits()))
    visit = idle.take("a", Limits())
    assert visit is not None
    idle.keep(visit)
    its.send(packed(Kind.RESULT, results.encode(0)))
    assert idle.take("a", Limits()) is None
    assert ours.fileno() == -1, "it is still open"
    its.close()


async def test_run_when_a_call_stays_is_given_no_files(pool: CpuPool, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no files"):
        await pool.run(whoami, tenant="a", reads=[tmp_path])
    with pytest.raises(ValueError, match="no files"):
        await pool.run(whoami, tenant="a", writes=[tmp_path])


async def test_close_when_children_are_idle_ends_them(pool: CpuPool) -> None:
    beside = CpuPool(1, beside=pool)
    first, second = await pool.run(whoami, tenant="a"), await beside.run(whoami, tenant="a")
    assert first != second
    beside.close()
    await gone(second)
    assert await pool.run(whoami, tenant="a") == first
    again = await beside.run(whoami, tenant="a")
    pool.close()  # of the server, so of all
    await gone(first)
    await gone(again)


# --- bytes as results ---------------------------------------------------------------------------


async def test_run_when_bytes_are_returned_they_are_the_same(pool: CpuPool) -> None:
    data = bytes(range(256)) * 4096
    assert await pool.run(twice, data, tenant="a") == [data, data]


async def test_run_when_a_result_is_too_long_says_so_and_lives_on(pool: CpuPool) -> None:
    with pytest.raises(ChildFailed, match="too long"):
        await pool.run(twice, bytes(9 * 2**20), tenant="a")
    assert await pool.run(twice, b"x", tenant="a") == [b"x", b"x"]


async def test_run_when_a_child_sends_json_without_end_it_is_not_believed(pool: CpuPool) -> None:
    with pytest.raises(ChildFailed):
        await pool.run(send_nested)


@pytest.mark.parametrize(
    ("told", "tail"),
    [
        ([{"$bytes": 4}, {"$bytes": 4}], b"four"),  # the same bytes twice
        ([{"$bytes": 5}], b"four"),
        ([{"$bytes": 4}, {"$bytes": -4}], b"four"),
        ([{"$bytes": "4"}], b"four"),
        ([{"$bytes": 1e400}], b"four"),
        ([{"$bytes": []}], b"four"),
    ],
)
def test_decode_when_a_message_names_bytes_it_does_not_have_refuses(
    told: object, tail: bytes
) -> None:
    text = json.dumps(told).encode()
    with pytest.raises((ValueError, TypeError)):
        results.decode(twice, len(text).to_bytes(4) + text + tail, ())


def test_decode_when_a_message_is_cut_refuses() -> None:
    data = results.encode(twice(b"four"))
    assert results.decode(twice, data, ()) == [b"four", b"four"]
    for size in range(len(data)):
        with pytest.raises(ValueError, match=r"line 1|did not send"):
            results.decode(twice, data[:size], ())
