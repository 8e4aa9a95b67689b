"""One caller of an installation in parts: asks for fake work, looks at it, and waits for it."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from tests.chaos.collect import calls
from tests.chaos.history import FINAL
from tests.servers import wait_until_async


async def submit(
    api: httpx2.AsyncClient, prompt: str, model: str = "fake", **params: float | bool
) -> str:
    """Ask for a job, and return its id."""
    body = {"prompt": prompt, "model": model, "params": {"outputs": 1, **params}}
    answer = await api.post("/v1/generate", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def look(api: httpx2.AsyncClient, job_id: str) -> dict[str, Any]:
    """Return the job's document."""
    return (await api.get(f"/v1/jobs/{job_id}")).raise_for_status().json()


async def until_final(api: httpx2.AsyncClient, job_id: str, deadline_s: float) -> dict[str, Any]:
    """Return the job's document once it is final."""

    async def found() -> dict[str, Any] | None:
        document = await look(api, job_id)
        return document if document["status"] in FINAL else None

    return await wait_until_async(found, deadline_s)


async def until_called(data_dir: Path, what: str, *prompts: str) -> float:
    """Return when the provider heard the last of these jobs first, in seconds since 1970."""

    async def found() -> dict[str, float] | None:
        first: dict[str, float] = {}
        for call in calls(data_dir):
            if call.what == what and call.prompt in prompts:
                first.setdefault(call.prompt, call.at)
        return first if len(first) == len(prompts) else None

    return max((await wait_until_async(found)).values())


def starts(data_dir: Path) -> Counter[str]:
    """Return how often the provider was asked to start each prompt's work."""
    return Counter(call.prompt for call in calls(data_dir) if call.what == "start")


def seconds(time: str) -> float:
    """Return a time of a document in seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()
