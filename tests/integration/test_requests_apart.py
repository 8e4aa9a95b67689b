"""Requests that a person waits for have slots of their own beside local jobs."""

import asyncio
import threading
from pathlib import Path

import httpx2

from safelight.accounts.scopes import OWNER_SCOPES
from safelight.app import open_safelight
from safelight.settings import Settings
from tests import pictures

_JOB_S = 3.0


def occupy() -> None:
    threading.Event().wait(_JOB_S)


async def test_upload_when_local_jobs_fill_all_slots_then_does_not_wait(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, local_slots=1, min_free_bytes=0)
    async with open_safelight(settings) as safelight:
        services = safelight.services
        account = await services.accounts.ensure_first("somebody")
        key = (await services.access.keys.create(account.id, "test", scopes=OWNER_SCOPES)).secret
        # A running job and a queue behind it.
        async with (
            asyncio.TaskGroup() as group,
            httpx2.AsyncClient(
                transport=httpx2.ASGITransport(safelight.asgi),
                base_url="http://127.0.0.1",
                headers={"Authorization": f"Bearer {key}"},
            ) as client,
        ):
            jobs = [group.create_task(safelight.pool.run(occupy)) for _ in range(20)]
            await asyncio.sleep(0)
            files = {"file": ("a.png", pictures.picture("png"), "image/png")}
            kept = await client.post("/v1/uploads", files=files)
            files = {"files": ("b.png", pictures.picture("png", 40, 40), "image/png")}
            queued = await client.post("/v1/upload/batch", files=files)
            still_busy = sum(not job.done() for job in jobs)
            for job in jobs:
                job.cancel()
    assert (kept.status_code, queued.status_code) == (201, 202), (kept.text, queued.text)
    assert still_busy >= 15  # a minute of work is left
