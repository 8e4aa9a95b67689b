"""The peer's Celery application and its one job: call the provider, keep the file, say so.

Configured as Celery's user guide advises for long jobs that must not be lost:

- `task_acks_late`, `task_reject_on_worker_lost`: a message is acknowledged once its job has ended,
  and returned where a child process dies ("Tasks": `Task.acks_late`, `reject_on_worker_lost`).
- `worker_prefetch_multiplier = 1`: with late acknowledgement no worker holds more messages than
  it has slots ("Optimizing": "Prefetch Limits", "Reserve one task at a time").
- `task_ignore_result`: the state is in PostgreSQL; a result store would be a second truth
  ("Tasks": "Ignore results you don't want").
- `visibility_timeout` stays at its hour: it must exceed the longest job, or jobs run twice
  ("Using Redis": "Visibility timeout").
"""

import uuid
from functools import cache
from typing import Any

import sqlalchemy as sa
from celery import Celery
from sqlalchemy import Engine

from bench.peers import provider, vendor
from bench.peers.renditions import write_renditions
from bench.peers.settings import settings
from bench.peers.tables import assets, driver_url, jobs

app = Celery("peer", broker=settings().broker_url)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@cache
def _database() -> Engine:
    """Return this process's pool: made at first use, so that no connection is inherited by a fork.

    The wait covers many threads that all end at the same moment.
    """
    return sa.create_engine(
        driver_url(settings().database_url), pool_size=settings().pool_size, pool_timeout=120
    )


@app.task(name="make")
def make(job_id: str) -> None:
    """Run one job from `running` to `succeeded` or `failed`."""
    job = uuid.UUID(job_id)
    prompt, params = _begin(job)
    try:
        if settings().vendor_url:
            made = [vendor.make(settings().vendor_url, prompt)]
        else:
            made = provider.make(prompt, params["seconds"], params["outputs"], settings().ledger)
    except Exception as error:
        _fail(job, str(error))
        raise
    _keep(job, made)


def _begin(job: uuid.UUID) -> tuple[str, dict[str, Any]]:
    started = {"status": "running", "started_at": sa.func.now()}
    statement = (
        sa.update(jobs)
        .where(jobs.c.id == job)
        .values(started)
        .returning(jobs.c.prompt, jobs.c.params)
    )
    with _database().begin() as tx:
        row = tx.execute(statement).one()
    return row.prompt, row.params


def _keep(job: uuid.UUID, made: list[bytes]) -> None:
    rows: list[dict[str, Any]] = []
    for picture in made:
        name = uuid.uuid4()
        path = settings().files / f"{name}.png"
        path.write_bytes(picture)
        if settings().renditions:
            write_renditions(picture, path)
        rows.append(
            {
                "id": name,
                "job_id": job,
                "path": str(path),
                "media_type": "image/png",
                "bytes": len(picture),
            }
        )
    ended = {"status": "succeeded", "finished_at": sa.func.now()}
    with _database().begin() as tx:
        if rows:
            tx.execute(sa.insert(assets), rows)
        tx.execute(sa.update(jobs).where(jobs.c.id == job).values(ended))


def _fail(job: uuid.UUID, reason: str) -> None:
    ended = {"status": "failed", "error": reason, "finished_at": sa.func.now()}
    with _database().begin() as tx:
        tx.execute(sa.update(jobs).where(jobs.c.id == job).values(ended))
