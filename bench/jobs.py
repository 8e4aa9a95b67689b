"""How long a submit takes, how soon its job starts, and how many no-op jobs a second go through."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from bench.table import Row, latency

_NOTHING = {"prompt": "", "model": "fake", "params": {"outputs": 0}}
_DEADLINE_S = 300


async def warm_up(client: httpx2.AsyncClient) -> None:
    """Let the server import and cache what only the first requests need."""
    for _ in range(20):
        await _submit(client, "warm up")


async def idle(client: httpx2.AsyncClient, count: int) -> Row:
    """Submit one after another."""
    took = [(await _timed_submit(client, f"idle {number}"))[0] for number in range(count)]
    return {"submits": count, **latency(took)}


async def at_rate(client: httpx2.AsyncClient, rate: int, seconds: int) -> Row:
    """Submit `rate` a second whether or not the earlier ones have been answered."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        sent = []
        for number in range(rate * seconds):
            await asyncio.sleep(max(began + number / rate - loop.time(), 0))
            sent.append(group.create_task(_timed_submit(client, f"rate {number}")))
    took = [submit.result()[0] for submit in sent]
    return {"wanted/s": rate, "reached/s": len(took) / (loop.time() - began), **latency(took)}


async def start_delay(client: httpx2.AsyncClient, count: int) -> Row:
    """Measure from `created_at` to `started_at` of jobs that find a free worker."""
    delays: list[float] = []
    for number in range(count):
        _, job = await _timed_submit(client, f"delay {number}", wait=True)
        created, started = (
            datetime.fromisoformat(job[name]) for name in ("created_at", "started_at")
        )
        delays.append((started - created).total_seconds())
    return {"jobs": count, **latency(delays)}


async def drain(client: httpx2.AsyncClient, count: int) -> Row:
    """Queue jobs for a common moment, then measure from the first start to the last end."""
    due = datetime.now(UTC) + timedelta(seconds=count / 80)
    gate = asyncio.Semaphore(16)

    async def one(number: int) -> None:
        async with gate:
            await _submit(client, f"drain {number}", start_at=due.isoformat(), tags=["drain"])

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(count)))
    submitted = time.perf_counter() - began
    until = time.monotonic() + _DEADLINE_S
    while time.monotonic() < until:
        answer = await client.get("/v1/jobs", params={"limit": 1, "status": "queued"})
        running = await client.get("/v1/jobs", params={"limit": 1, "status": "running"})
        if not answer.json()["data"] and not running.json()["data"]:
            break
        await asyncio.sleep(0.2)
    jobs = await _tagged(client, "drain")
    starts = [datetime.fromisoformat(job["started_at"]) for job in jobs]
    ends = [datetime.fromisoformat(job["finished_at"]) for job in jobs]
    seconds = (max(ends) - min(starts)).total_seconds()
    return {
        "jobs": len(jobs),
        "submits/s, 16 at once": count / submitted,
        "first start to last end s": seconds,
        "jobs/s": len(jobs) / seconds,
    }


async def _tagged(client: httpx2.AsyncClient, tag: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        params: dict[str, Any] = {"limit": 200} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/jobs", params=params)).json()
        found += [job for job in page["data"] if tag in job["tags"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def _submit(
    client: httpx2.AsyncClient, prompt: str, *, wait: bool = False, **more: Any
) -> dict[str, Any]:
    headers = {"Prefer": "wait=10"} if wait else {}
    answer = await client.post(
        "/v1/generate", json=_NOTHING | {"prompt": prompt} | more, headers=headers
    )
    answer.raise_for_status()
    return answer.json()


async def _timed_submit(
    client: httpx2.AsyncClient, prompt: str, *, wait: bool = False
) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    job = await _submit(client, prompt, wait=wait)
    return time.perf_counter() - began, job
