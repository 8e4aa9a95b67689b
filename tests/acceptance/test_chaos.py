"""A server that is killed again and again, at random moments, still does every job once."""

import asyncio
import random
import secrets
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.conftest import RunningServer
from tests.servers import wait_until_async

JOBS = 150
KILLS = 12
CRASHES_ALLOWED = 3


async def _all_jobs(api: httpx2.AsyncClient) -> list[dict[str, Any]]:
    return (await api.get("/v1/jobs", params={"limit": 200})).json()["data"]


async def _submit(server: RunningServer, chance: random.Random) -> None:
    async with server.client() as api:
        for number in range(JOBS):
            params = {
                "seconds": chance.uniform(0, 1.5),
                "outputs": chance.randint(0, 2),
                "pending": chance.random() < 0.5,
            }
            body = {"prompt": f"job {number}", "model": "fake", "params": params}
            assert (await api.post("/v1/generate", json=body)).status_code == 202


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_server_when_killed_at_random_does_every_job_once(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201  shown where the test fails
    chance = random.Random(seed)  # noqa: S311  repeatable, not secret
    server = RunningServer(tmp_path / "data", {"SAFELIGHT_REMOTE_SLOTS": "10"})
    server.start()
    try:
        await _submit(server, chance)
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.1, 1.5))  # the moment of the kill is the test
            server.kill()
            server.start()
        async with server.client() as api:

            async def all_done() -> bool:
                return all(job["finished_at"] for job in await _all_jobs(api))

            await wait_until_async(all_done, deadline_s=240)
            jobs = await _all_jobs(api)
            assert {job["prompt"] for job in jobs} == {f"job {number}" for number in range(JOBS)}
            for job in jobs:
                await _check(api, job)
    finally:
        server.close()


async def _check(api: httpx2.AsyncClient, job: dict[str, Any]) -> None:
    """One job's history against what must hold: one success, or three dead workers."""
    ledger = (await api.get(f"/v1/jobs/{job['id']}/attempts")).json()["data"]
    outcomes = Counter(attempt["outcome"] for attempt in ledger)
    assert outcomes[None] == 0, "an attempt was left open"
    if job["status"] == "succeeded":
        assert outcomes["succeeded"] == 1
        assert len(job["outputs"]) == job["params"]["outputs"]
    else:
        assert (job["status"], job["error"]["code"]) == ("failed", "worker_crashed")
        assert outcomes["succeeded"] == 0
        assert outcomes["lost"] <= CRASHES_ALLOWED
