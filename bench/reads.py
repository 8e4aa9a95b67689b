"""The processor time of one status read, and the wait for it beside many open event streams."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import psutil

from bench.client import Client, connected
from bench.components import Components
from bench.progress import all_finished
from bench.server import Server, Setup, running_server
from bench.service import Service
from bench.sizes import Sizes
from bench.table import Row, latency

_WARM_UP = 50
_DEADLINE_S = 60
_CONNECTIONS = 64
_FAR = "2099-01-01T00:00:00Z"


async def status_reads(ground: Components, sizes: Sizes) -> list[Row]:
    """Read one job again and again on one connection; return the server's CPU of a read."""
    rows: list[Row] = []
    for url in (ground.postgres.new_database(), ""):
        with running_server(Setup(url)) as server:
            async with connected(server.service(), 1) as client:
                for state, job_id in (await _jobs(client, server)).items():
                    etag = await client.status(job_id)
                    rows += [
                        {
                            "service": server.service().name,
                            "job": state,
                            "answer": 304 if known else 200,
                            **await _cost(client, server, sizes.reads, job_id, known),
                        }
                        for known in ("", etag)
                    ]
    return rows


async def _jobs(client: Client, server: Server) -> dict[str, str]:
    """Return a finished job with a picture, one that waits for its time, and one that runs."""
    done = await client.submit("done", {"seconds": 0, "outputs": 1})
    later = await client.submit("later", {"seconds": 0}, start_at=_FAR)
    runs = await client.submit("runs", {"seconds": 3600})
    await all_finished(server.service(), "done", 1, _DEADLINE_S)
    return {"done": done, "later": later, "runs": runs}


async def _cost(client: Client, server: Server, count: int, job_id: str, etag: str) -> Row:
    for _ in range(_WARM_UP):
        await client.status(job_id, etag)
    took: list[float] = []
    before = cpu_s(server)
    for _ in range(count):
        began = time.perf_counter()
        await client.status(job_id, etag)
        took.append(time.perf_counter() - began)
    return {"CPU ms/read": (cpu_s(server) - before) * 1000 / count, **latency(took)}


async def streams(ground: Components, sizes: Sizes) -> list[Row]:
    """Keep streams open on running jobs, then read at a fixed rate beside them."""
    rows: list[Row] = []
    for url in (ground.postgres.new_database(), ""):
        with running_server(Setup(url)) as server:
            rows += await _beside(server, sizes)
    return rows


async def _beside(server: Server, sizes: Sizes) -> list[Row]:
    service = server.service()
    async with connected(service, _CONNECTIONS) as client:
        jobs = [await client.submit(f"runs {n}", {"seconds": 3600}) for n in range(sizes.streams)]
        async with _open_streams(service, jobs):
            before, began = cpu_s(server), time.perf_counter()
            await asyncio.sleep(sizes.rate_s)
            idle = (cpu_s(server) - before) / (time.perf_counter() - began)
            before = cpu_s(server)
            took = await _at_rate(client, jobs, sizes.rate, sizes.rate * sizes.rate_s)
            busy = (cpu_s(server) - before) / len(took)
    return [
        {
            "service": service.name,
            "streams": len(jobs),
            "CPU idle %": idle * 100,
            "reads/s": sizes.rate,
            "CPU ms/read": busy * 1000,
            **latency(took),
        }
    ]


@asynccontextmanager
async def _open_streams(service: Service, jobs: list[str]) -> AsyncGenerator[None]:
    """Follow each job on a connection of its own, once all have begun."""

    async def follow(job_id: str, begun: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(
            f"GET {service.prefix}/jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {service.key}\r\n\r\n".encode()
        )
        try:
            while line := await reader.readline():
                if line.startswith(b"event: snapshot"):
                    begun.set()
        finally:
            writer.close()

    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        begun = [asyncio.Event() for _ in jobs]
        tasks = [
            group.create_task(follow(job_id, each))
            for job_id, each in zip(jobs, begun, strict=True)
        ]
        try:
            async with asyncio.timeout(_DEADLINE_S):
                for each in begun:
                    await each.wait()
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _at_rate(client: Client, jobs: list[str], rate: int, count: int) -> list[float]:
    """Read on time whatever is still unanswered; each is timed from when it was to be sent."""
    began = time.perf_counter() + 0.1
    took: list[float] = []

    async def one(number: int) -> None:
        due = began + number / rate
        await asyncio.sleep(due - time.perf_counter())
        await client.status(jobs[number % len(jobs)])
        took.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))
    return took


def cpu_s(server: Server) -> float:
    """Return the processor time that the server's process has taken, without its children."""
    times = psutil.Process(server.pid).cpu_times()
    return times.user + times.system
