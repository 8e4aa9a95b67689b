"""Kills a worker that runs jobs; measures until another runs all of them."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from bench.children import kill_group
from bench.client import connected
from bench.components import Components
from bench.peer import Pool, new_peer
from bench.progress import one_row
from bench.server import Setup, running_server
from bench.service import Service
from bench.sizes import Sizes
from bench.table import Row

_LONG = {"seconds": 600, "outputs": 0}  # no job ends while it is looked at
_EVERY_S = 0.1
_START_S = 30
_AGAIN = "SELECT count(*) FROM jobs WHERE status = 'running' AND fence = {fence}"


async def recovery(ground: Components, sizes: Sizes) -> list[Row]:
    """Measure Safelight with each lease, then Celery as Redis's defaults have it."""
    rows = [await _safelight(ground, sizes.killed_jobs, lease_s) for lease_s in sizes.leases_s]
    return [*rows, await _peer(ground, sizes)]


async def _safelight(ground: Components, count: int, lease_s: float) -> Row:
    """Two processes on one database; the second comes once the first has all jobs."""
    setup = Setup(ground.postgres.new_database(), lease_s=lease_s)
    with running_server(setup) as first:
        await _submit(first.service(), count)
        await _must(lambda: _running(setup.database_url, fence=1) == count, _START_S)
        with running_server(setup) as second:
            kill_group(first.process)
            killed = time.monotonic()
            await _must(lambda: _running(setup.database_url, fence=2) == count, 3 * lease_s + 60)
            took = time.monotonic() - killed
            name = second.service().name
    return {
        "worker": f"{name} each, lease {lease_s:g} s",
        "killed with": count,
        "running again": count,
        "after s": took,
    }


async def _peer(ground: Components, sizes: Sizes) -> Row:
    count, wait_s = sizes.killed_jobs, sizes.celery_wait_s
    pool = Pool("threads", count)
    with new_peer(ground) as peer, peer.api(str(pool)) as service:
        with peer.worker(pool, "first") as first:
            await _submit(service, count)
            await _must(lambda: _called(service, 1) == count, _START_S)
            kill_group(first)
        with peer.worker(pool, "second"):
            killed = time.monotonic()
            await _until(lambda: _called(service, 2) == count, wait_s)
            took = time.monotonic() - killed
            back = _called(service, 2)
    return {
        "worker": f"{pool}, visibility timeout 1 h (default)",
        "killed with": count,
        "running again": back,
        "after s": took,
    }


async def _submit(service: Service, count: int) -> None:
    async with connected(service, 8) as client:
        await client.submit_many([f"kill {number}" for number in range(count)], _LONG)


def _running(database_url: str, *, fence: int) -> int:
    return one_row(database_url, _AGAIN.format(fence=fence))[0]


def _called(service: Service, times: int) -> int:
    """Return how many jobs were begun at least so often."""
    calls = Counter(prompt for prompt, _ in service.calls())
    return sum(1 for seen in calls.values() if seen >= times)


async def _until(condition: Callable[[], bool], deadline_s: float) -> bool:
    """Wait until it is so; say whether it came to be."""
    until = time.monotonic() + deadline_s
    while True:
        so = condition()
        if so or time.monotonic() > until:
            return so
        await asyncio.sleep(_EVERY_S)


async def _must(condition: Callable[[], bool], deadline_s: float) -> None:
    if not await _until(condition, deadline_s):
        raise RuntimeError(f"not so within {deadline_s:g} s")
