"""A worker of awa, a job queue in PostgreSQL with its engine in Rust: `awa.py QUEUE SLOTS`."""

import asyncio
import signal
import sys
from dataclasses import dataclass

from awa import AsyncClient, Job

from bench.peers.settings import settings

AT_WORK = "at work"


@dataclass
class Nothing:
    """A job without work."""

    number: int


async def work(queue: str, slots: int) -> None:
    """Run the queue's jobs until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with AsyncClient(settings().database_url) as client:

        @client.task(Nothing, queue=queue)
        async def run(_: Job[Nothing]) -> None:
            pass

        await client.start([(queue, slots)])
        print(AT_WORK, flush=True)
        await stop.wait()
        await client.shutdown()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2])))
