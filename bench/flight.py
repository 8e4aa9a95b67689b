"""Jobs in flight on one worker process, on a provider that takes its time: how long, how large."""

import math
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from bench.client import connected
from bench.components import Components
from bench.memory import sampled
from bench.peer import Pool, new_peer
from bench.progress import all_finished
from bench.server import Setup, running_server
from bench.sizes import Sizes
from bench.table import Row

_CONNECTIONS = 32
_SUBMITS_A_S = 250  # at least; a job is due only once all have been sent
_PREFORK = 4
_FEW_ROUNDS_S = 300  # that Celery may take beyond its rounds


async def in_flight(ground: Components, sizes: Sizes) -> list[Row]:
    """Submit first, then measure from the first start to the last end."""
    peers = [Pool("prefork", _PREFORK), Pool("threads", sizes.flight_threads)]
    return [await _safelight(ground, sizes), *[await _peer(ground, sizes, pool) for pool in peers]]


async def _safelight(ground: Components, sizes: Sizes) -> Row:
    count = sizes.flight_jobs
    setup = Setup(ground.postgres.new_database(), remote_slots=count)
    with running_server(setup) as server:
        service = server.service()
        due = datetime.now(UTC) + timedelta(seconds=2 + count / _SUBMITS_A_S)
        async with connected(service, _CONNECTIONS) as client:
            await client.submit_many(_prompts(count), _params(sizes), start_at=due.isoformat())
        if datetime.now(UTC) >= due:
            raise RuntimeError("The first jobs became due before the last was submitted.")
        async with sampled(server.pid) as peak:
            wait_s = (due - datetime.now(UTC)).total_seconds()
            end = await all_finished(service, "flight", count, wait_s + 20 * sizes.flight_s + 300)
    return {
        "worker": service.name,
        "provider s": sizes.flight_s,
        "jobs": count,
        "first start to last end s": end.from_start_s(),
        f"{count} jobs s": end.from_start_s(),
        "how": "measured",
        "process MiB": peak.own_mib,
        "with children MiB": peak.tree_mib,
    }


async def _peer(ground: Components, sizes: Sizes, pool: Pool) -> Row:
    """Measure full rounds of its slots; more jobs take as many more rounds."""
    count = pool.slots * sizes.flight_rounds
    with ExitStack() as stack:
        peer = stack.enter_context(new_peer(ground))
        service = stack.enter_context(peer.api(str(pool)))
        async with connected(service, _CONNECTIONS) as client:
            await client.submit_many(_prompts(count), _params(sizes))
        worker = stack.enter_context(peer.worker(pool))
        async with sampled(worker.pid) as peak:
            deadline_s = sizes.flight_rounds * sizes.flight_s + _FEW_ROUNDS_S
            end = await all_finished(service, "flight", count, deadline_s)
    rounds = math.ceil(sizes.flight_jobs / pool.slots)
    seconds = end.from_start_s()
    return {
        "worker": str(pool),
        "provider s": sizes.flight_s,
        "jobs": count,
        "first start to last end s": seconds,
        f"{sizes.flight_jobs} jobs s": seconds * rounds / sizes.flight_rounds,
        "how": f"computed: {rounds} rounds of {pool.slots}",
        "process MiB": peak.own_mib,
        "with children MiB": peak.tree_mib,
    }


def _prompts(count: int) -> list[str]:
    return [f"flight {number}" for number in range(count)]


def _params(sizes: Sizes) -> dict[str, float]:
    return {"seconds": sizes.flight_s, "outputs": 0}
