"""Runs no-op jobs with awa-pg, a queue in PostgreSQL written in Rust: URL COUNT; prints JSON."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

from awa import AsyncClient

_SLOTS = 200
_WARM_UP = 500
_DEADLINE_S = 120


@dataclass
class Nothing:
    """A job without work."""

    number: int


async def _main(url: str, count: int) -> None:
    client = AsyncClient(url)
    await client.migrate()
    ends: asyncio.Queue[float] = asyncio.Queue()

    @client.task(Nothing, queue="bench")
    async def nothing(_job: Any) -> None:
        ends.put_nowait(time.perf_counter())

    async def drain(jobs: int) -> float:
        """Queue the jobs at once; return the seconds from the first to the last."""
        await client.insert_many_copy([Nothing(number) for number in range(jobs)], queue="bench")
        async with asyncio.timeout(_DEADLINE_S):
            times = [await ends.get() for _ in range(jobs)]
        return times[-1] - times[0]

    await client.start([("bench", _SLOTS)])
    await drain(_WARM_UP)
    before = time.process_time()
    seconds = await drain(count)
    print(json.dumps({"seconds": seconds, "cpu_s": time.process_time() - before}), flush=True)
    await client.shutdown()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
