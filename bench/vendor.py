"""CPU of a worker that runs jobs at Replicate, against a stand-in on the loopback."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from bench.children import running
from bench.client import connected
from bench.components import Components
from bench.progress import all_finished
from bench.server import Setup, running_server
from bench.sizes import Sizes
from bench.table import Row
from tests.servers import free_port

_CONNECTIONS = 32
_WARM_UP = 100
_DEADLINE_S = 600
_MODEL = "replicate/black-forest-labs/flux-schnell"
_TICKS = os.sysconf("SC_CLK_TCK")


async def vendor(ground: Components, sizes: Sizes) -> list[Row]:
    """Measure jobs that need a second look, and jobs that the start's response ends."""
    return [
        await _measure(ground, sizes.path_jobs, "at the first look"),
        await _measure(ground, sizes.path_jobs, "at once", "at-once"),
    ]


async def _measure(ground: Components, count: int, ends: str, *how: str) -> Row:
    port = free_port()
    setup = Setup(
        ground.postgres.new_database(),
        command=("api",),
        extra={
            "SAFELIGHT_REPLICATE_API_TOKEN": "r8_stand_in",
            "SAFELIGHT_REPLICATE_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "SAFELIGHT_FETCH_ALLOW_NETWORKS": "127.0.0.0/8",
            "SAFELIGHT_FETCH_PORTS": str(port),
        },
    )
    with running_server(setup) as server, _beside(setup, server.data_dir, port, how) as worker:
        service = server.service()
        async with connected(service, _CONNECTIONS) as client:
            await client.submit_many([f"warm {n}" for n in range(_WARM_UP)], {}, model=_MODEL)
            await all_finished(service, "warm", _WARM_UP, _DEADLINE_S)
            before = _cpu_s(worker)
            await client.submit_many([f"job {n}" for n in range(count)], {}, model=_MODEL)
        end = await all_finished(service, "job", count, _DEADLINE_S)
        return {
            "ends": ends,
            "jobs": count,
            "jobs/s": count / end.from_submit_s(),
            "CPU of the worker's main process, ms a job": (_cpu_s(worker) - before) / count * 1000,
        }


@contextmanager
def _beside(setup: Setup, folder: Path, port: int, how: tuple[str, ...]) -> Generator[int]:
    """Yield the process id of a worker, beside which the vendor runs."""
    stand_in = (sys.executable, "-m", "bench.standin", str(port), *how)
    worker = (sys.executable, "-m", "safelight", "worker")
    with (
        running(*stand_in, log=folder / "stand-in.log"),
        running(*worker, log=folder / "worker.log", extra=setup.environment(folder)) as process,
    ):
        yield process.pid


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process without its children, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
