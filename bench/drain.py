"""How fast one worker runs jobs that are queued already, and the CPU time of each."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from sqlalchemy import Connection

from bench.components import Components
from bench.cpu import cpu_s
from bench.progress import all_finished
from bench.server import Setup, running_worker
from bench.service import Service
from bench.sizes import Sizes
from bench.table import Row
from safelight.accounts.service import Accounts
from safelight.db.engine import open_database
from safelight.db.migrate import migrate
from safelight.jobs.ledger import store
from tests.factories import job_row

_DEADLINE_S = 600.0
_AT_ONCE = 1_000  # rows per insert
_WARM_UP = 500
_PARAMS = {"seconds": 0, "pending": False, "outputs": 0, "errors": []}


async def drain(ground: Components, sizes: Sizes) -> list[Row]:
    """Queue the jobs while the worker idles, so that its start is not measured."""
    return [
        await _safelight(ground, sizes.drain_jobs, 1),
        await _safelight(ground, sizes.drain_jobs, 2),
        await asyncio.to_thread(_awa, ground, sizes.drain_jobs),
    ]


async def _safelight(ground: Components, count: int, processes: int) -> Row:
    setup = Setup(ground.postgres.new_database())
    name = f"Safelight, {processes} process{'es' if processes > 1 else ''}"
    service = Service(name, 0, "", "", setup.database_url, Path())
    with running_worker(setup, processes) as process:
        await _queue(setup.database_url, "warm", _WARM_UP)
        await all_finished(service, "warm", _WARM_UP, _DEADLINE_S)
        await _queue(setup.database_url, "drain", count)
        spent = _Spent(ground, process.pid)
        end = await all_finished(service, "drain", count, _DEADLINE_S)
        return spent.row(service.name, count, end.from_start_s())


def _awa(ground: Components, count: int) -> Row:
    """Run awa-pg's worker, which queues its jobs itself."""
    before = cpu_s(ground.postgres.pid)
    command = (sys.executable, "-m", "bench.peers.awa_worker", ground.postgres.new_database())
    done = subprocess.run(
        [*command, str(count)], check=True, capture_output=True, timeout=_DEADLINE_S
    )
    said = json.loads(done.stdout)
    postgres = cpu_s(ground.postgres.pid) - before
    return _row("awa-pg, 1 process", count, said["seconds"], said["cpu_s"], postgres)


class _Spent:
    """The CPU time of a worker and of PostgreSQL since its making."""

    def __init__(self, ground: Components, worker: int) -> None:
        self._before = {pid: cpu_s(pid) for pid in (worker, ground.postgres.pid)}

    def row(self, worker: str, count: int, seconds: float) -> Row:
        """Return the table's row of a worker that ran `count` jobs."""
        spent = [cpu_s(pid) - before for pid, before in self._before.items()]
        return _row(worker, count, seconds, *spent)


def _row(worker: str, count: int, seconds: float, worker_s: float, postgres_s: float) -> Row:
    return {
        "worker": worker,
        "jobs": count,
        "jobs/s": count / seconds,
        "CPU ms a job, worker": worker_s / count * 1000,
        "CPU ms a job, PostgreSQL": postgres_s / count * 1000,
    }


async def _queue(url: str, prompt: str, count: int) -> None:
    database = open_database(url)
    try:
        await migrate(database)
        account = await Accounts(database).ensure_first("bench")

        def insert(tx: Connection) -> None:
            for first in range(0, count, _AT_ONCE):
                numbers = range(first, min(first + _AT_ONCE, count))
                rows = [
                    job_row(account.id, prompt=f"{prompt} {number}", params=_PARAMS)
                    for number in numbers
                ]
                store.insert(tx, rows)

        await database.write(insert)
    finally:
        await database.close()
