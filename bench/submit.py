"""Submit latency at a fixed rate, against the least that a submit can be."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from bench import fullpath
from bench.client import Client, connected
from bench.components import Components
from bench.peer import Pool, bare
from bench.progress import all_finished
from bench.service import Service
from bench.sizes import Sizes
from bench.table import Row, latency

_CONNECTIONS = 64
_WARM_UP = 200
_DEADLINE_S = 60
_RUN = "run meanwhile"
_NOTHING = {"seconds": 0, "outputs": 0}


async def submit_latency(ground: Components, sizes: Sizes) -> list[Row]:
    """Measure Safelight with its jobs run meanwhile, and put off; then the others."""
    rows: list[Row] = []
    with bare(ground) as service:
        rows.append(await _measure(service, sizes, "nobody runs them", {}))
    for url in (ground.postgres.new_database(), ""):
        with fullpath.safelight(url) as service:
            rows.append(await _measure(service, sizes, _RUN, {}))
            rows.append(await _measure(service, sizes, "due tomorrow", _tomorrow()))
    with fullpath.apart(ground.postgres.new_database()) as service:
        rows.append(await _measure(service, sizes, _RUN, {}))
    with fullpath.peer(ground, Pool("prefork", 4)) as service:
        rows.append(await _measure(service, sizes, _RUN, {}))
    return rows


async def _measure(service: Service, sizes: Sizes, jobs: str, more: dict[str, Any]) -> Row:
    async with connected(service, _CONNECTIONS) as client:
        warm = [f"warm {number}" for number in range(_WARM_UP)]
        await client.submit_many(warm, _NOTHING, **more)
        if jobs == _RUN:
            await all_finished(service, "warm", _WARM_UP, _DEADLINE_S)
        took, seconds = await _at_rate(client, sizes.rate, sizes.rate * sizes.rate_s, more)
    return {
        "service": service.name,
        "jobs": jobs,
        "wanted/s": sizes.rate,
        "reached/s": len(took) / seconds,
        **latency(took),
    }


async def _at_rate(
    client: Client, rate: int, count: int, more: dict[str, Any]
) -> tuple[list[float], float]:
    """Send on time whatever is still unanswered; each is timed from when it was to be sent."""
    began = time.perf_counter() + 0.1  # uvloop's own clock counts in whole milliseconds
    took: list[float] = []

    async def one(number: int) -> None:
        due = began + number / rate
        await asyncio.sleep(due - time.perf_counter())
        await client.submit(f"rate {number}", _NOTHING, **more)
        took.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
    return took, time.perf_counter() - began


def _tomorrow() -> dict[str, str]:
    return {"start_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
