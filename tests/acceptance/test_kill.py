"""A server that is killed with work queued and running finishes all of it after its next start."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2

from tests.acceptance.conftest import RunningServer
from tests.servers import wait_until_async

JOBS = 20


async def _all_jobs(api: httpx2.AsyncClient) -> list[dict[str, Any]]:
    return (await api.get("/v1/jobs", params={"limit": 200})).json()["data"]


async def test_server_when_killed_with_20_jobs_under_way_finishes_each_once(tmp_path: Path) -> None:
    # Two remote slots: some jobs run, most are queued, when the process dies.
    server = RunningServer(tmp_path, {"SAFELIGHT_REMOTE_SLOTS": "6", "SAFELIGHT_LEASE_S": "30"})
    server.start()
    try:
        async with server.client() as api:
            for number in range(JOBS):
                kind = {"seconds": 1.0, "outputs": 1, "pending": number % 2 == 1}
                body = {"prompt": f"job {number}", "model": "fake", "params": kind}
                assert (await api.post("/v1/generate", json=body)).status_code == 202

            async def some_run() -> bool:
                jobs = await _all_jobs(api)
                return sum(job["status"] == "running" for job in jobs) >= 4

            await wait_until_async(some_run, deadline_s=10)
            before = Counter(job["status"] for job in await _all_jobs(api))
            assert before["queued"] > 0
        server.kill()
        server.start()
        async with server.client() as api:

            async def all_done() -> bool:
                return all(job["finished_at"] for job in await _all_jobs(api))

            await wait_until_async(all_done, deadline_s=60)
            jobs = await _all_jobs(api)
            assert Counter(job["status"] for job in jobs) == {"succeeded": JOBS}
            assert {job["prompt"] for job in jobs} == {f"job {number}" for number in range(JOBS)}
            assert all(len(job["outputs"]) == 1 for job in jobs)
            for job in jobs:
                ledger = (await api.get(f"/v1/jobs/{job['id']}/attempts")).json()["data"]
                outcomes = Counter(attempt["outcome"] for attempt in ledger)
                assert outcomes["succeeded"] == 1
                assert set(outcomes) <= {"succeeded", "lost"}
    finally:
        server.stop()
    calls = [json.loads(line) for line in (tmp_path / "fake-ledger.jsonl").read_text().splitlines()]
    ends = Counter(call["prompt"] for call in calls if call["what"] == "end")
    # Work that was parked behind a ticket is resumed by it: started once, with any process killed.
    starts = Counter(call["prompt"] for call in calls if call["what"] == "start")
    assert set(ends) == {f"job {number}" for number in range(JOBS)}
    assert all(count <= 2 for count in starts.values())
