"""Jobs per second at Replicate by HTTP, and their CPU time, beside a peer at the same vendor."""

import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.children import listens, running
from bench.client import connected
from bench.components import Components
from bench.cpu import cpu_s
from bench.peer import Pool, new_peer
from bench.progress import all_finished
from bench.server import Setup, running_apart
from bench.service import Service
from bench.sizes import Sizes
from bench.table import Row
from tests.servers import free_port, wait_until

_CONNECTIONS = 32
_WARM_UP = 100
_DEADLINE_S = 600
_MODEL = "replicate/black-forest-labs/flux-schnell"
_PEERS = (Pool("prefork", 2), Pool("threads", 32))
_TINY = 64  # pixels; of larger pictures the peer makes Safelight's renditions, too
_LARGE_EACH = 5  # one large picture for so many small ones


@dataclass(frozen=True, slots=True)
class _Vendor:
    """The stand-in: the side of its pictures, and when its predictions end."""

    port: int
    side: int
    ends: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


async def vendor(ground: Components, sizes: Sizes) -> list[Row]:
    """Measure each service with small and with large pictures."""
    rows: list[Row] = []
    for side, count in ((_TINY, sizes.path_jobs), (1024, max(sizes.path_jobs // _LARGE_EACH, 1))):
        for ends in ("at the first look", "at once"):
            with _running(side, ends) as at:
                with _safelight(ground, at) as (service, worker):
                    rows.append(await _measure(service, worker, count, at, model=_MODEL))
                for pool in _PEERS:
                    with _peer(ground, pool, at) as (service, worker):
                        rows.append(await _measure(service, worker, count, at))
    return rows


@contextmanager
def _running(side: int, ends: str) -> Generator[_Vendor]:
    port = free_port()
    how = ("at-once",) if ends == "at once" else ()
    command = (sys.executable, "-m", "bench.standin", str(port), str(side), *how)
    with tempfile.TemporaryDirectory() as folder, running(*command, log=Path(folder) / "log"):
        wait_until(lambda: listens(port))
        yield _Vendor(port, side, ends)


@contextmanager
def _safelight(ground: Components, at: _Vendor) -> Generator[tuple[Service, int]]:
    """Yield Safelight's API, and the process of the worker beside it."""
    extra = {
        "SAFELIGHT_REPLICATE_API_TOKEN": "r8_stand_in",
        "SAFELIGHT_REPLICATE_BASE_URL": at.url,
        "SAFELIGHT_FETCH_ALLOW_NETWORKS": "127.0.0.0/8",
        "SAFELIGHT_FETCH_PORTS": str(at.port),
    }
    with running_apart(Setup(ground.postgres.new_database(), extra=extra)) as server:
        yield server.service(), server.worker_pid


@contextmanager
def _peer(ground: Components, pool: Pool, at: _Vendor) -> Generator[tuple[Service, int]]:
    extra = {"PEER_VENDOR_URL": at.url, "PEER_RENDITIONS": str(at.side > _TINY)}
    with (
        new_peer(ground, extra) as made,
        made.api(str(pool)) as service,
        made.worker(pool) as worker,
    ):
        yield service, worker.pid


async def _measure(service: Service, worker: int, count: int, at: _Vendor, **more: str) -> Row:
    async with connected(service, _CONNECTIONS) as client:
        await client.submit_many([f"warm {n}" for n in range(_WARM_UP)], {}, **more)
    await all_finished(service, "warm", _WARM_UP, _DEADLINE_S)
    before = cpu_s(worker)
    async with connected(service, _CONNECTIONS) as client:  # those may have been idle for too long
        await client.submit_many([f"job {n}" for n in range(count)], {}, **more)
    end = await all_finished(service, "job", count, _DEADLINE_S)
    return {
        "service": service.name,
        "picture": f"{at.side} px",
        "ends": at.ends,
        "jobs": count,
        "jobs/s": count / end.from_submit_s(),
        "worker's CPU, ms a job": (cpu_s(worker) - before) / count * 1000,
    }
