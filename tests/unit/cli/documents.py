"""Documents as the API sends them, valid by default, with one thing changed at a time."""

from collections.abc import Mapping
from typing import Any

from safelight.documents import Asset, Batch, Job

BASE = "http://127.0.0.1:8765"


def asset(**changed: Any) -> Asset:
    whole: dict[str, Any] = {
        "id": "ast_1",
        "kind": "image",
        "name": "",
        "media_type": "image/png",
        "bytes": 4,
        "width": 1,
        "height": 1,
        "url": f"{BASE}/files/images/job_1/abc.png",
    }
    return Asset(**(whole | changed))


def job(**changed: Any) -> Job:
    whole: dict[str, Any] = {
        "id": "job_1",
        "kind": "text_to_image",
        "status": "queued",
        "stage": None,
        "progress": 0.0,
        "queue_position": None,
        "eta_s": None,
        "prompt": "a lamp",
        "model": "sketch",
        "provider": "sketch",
        "name": None,
        "source_url": None,
        "outputs": [],
        "error": None,
        "attempts": 0,
        "created_at": "2026-01-01T00:00:00Z",
        "started_at": None,
        "finished_at": None,
        "status_url": f"{BASE}/v1/jobs/job_1",
    }
    return Job(**(whole | changed))


def done(**changed: Any) -> Job:
    final = {"status": "succeeded", "progress": 100.0, "finished_at": "2026-01-01T00:00:02Z"}
    return job(**(final | {"outputs": [asset()]} | changed))


def batch(*jobs: Job, problem: Mapping[str, Any] | None = None, **changed: Any) -> Batch:
    items: list[dict[str, Any]] = [
        {"index": index, "name": one["name"], "job": one, "problem": None}
        for index, one in enumerate(jobs)
    ]
    if problem:
        items.append({"index": len(jobs), "name": "bad.png", "job": None, "problem": problem})
    statuses = [one["status"] for one in jobs] + (["failed"] if problem else [])
    names = ("queued", "running", "succeeded", "failed", "canceled")
    whole: dict[str, Any] = {
        "id": "bat_1",
        "status": "running",
        "progress": 0.0,
        "counts": {"total": len(items)} | {name: statuses.count(name) for name in names},
        "items": items,
        "created_at": "2026-01-01T00:00:00Z",
        "finished_at": None,
        "status_url": f"{BASE}/v1/batches/bat_1",
    }
    return Batch(**(whole | changed))
