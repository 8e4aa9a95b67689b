"""Jobs per second from the first HTTP submit to the last stored and announced picture."""

from collections.abc import Generator
from contextlib import contextmanager

from bench.client import connected
from bench.components import Components
from bench.peer import Pool, new_peer
from bench.progress import all_finished
from bench.server import Setup, running_apart, running_server
from bench.service import Service
from bench.sizes import Sizes
from bench.table import Row

_CONNECTIONS = 32
_WARM_UP = 40
_DEADLINE_S = 600
_OUTPUTS = (1, 0)  # a picture to check and keep, or nothing but the way through


async def full_path(ground: Components, sizes: Sizes) -> list[Row]:
    """Measure each service in turn, and then in the opposite order, on fresh databases."""
    makers = [
        lambda: safelight(ground.postgres.new_database()),
        lambda: apart(ground.postgres.new_database()),
        lambda: peer(ground, Pool("prefork", 4)),
        lambda: peer(ground, Pool("threads", 32)),
        lambda: safelight(""),
    ]
    rows: list[Row] = []
    for turn, order in enumerate((makers, makers[::-1]), start=1):
        for make in order:
            with make() as service:
                rows += [await _measure(service, sizes.path_jobs, turn, n) for n in _OUTPUTS]
    return rows


@contextmanager
def safelight(database_url: str) -> Generator[Service]:
    """Run Safelight; on SQLite where no database is given."""
    with running_server(Setup(database_url)) as server:
        yield server.service()


@contextmanager
def apart(database_url: str) -> Generator[Service]:
    """Run Safelight's API and one worker, each a process."""
    with running_apart(Setup(database_url)) as server:
        yield server.service()


@contextmanager
def peer(ground: Components, pool: Pool) -> Generator[Service]:
    """Run the peer's API and one worker."""
    with new_peer(ground) as made, made.api(str(pool)) as service, made.worker(pool):
        yield service


async def _measure(service: Service, count: int, turn: int, outputs: int) -> Row:
    params = {"seconds": 0, "outputs": outputs}
    name = f"path {outputs}"
    async with connected(service, _CONNECTIONS) as client:
        await client.submit_many([f"warm {name} {number}" for number in range(_WARM_UP)], params)
        await all_finished(service, f"warm {name}", _WARM_UP, _DEADLINE_S)
        took = await client.submit_many([f"{name} {number}" for number in range(count)], params)
    end = await all_finished(service, name, count, _DEADLINE_S)
    return {
        "turn": turn,
        "service": service.name,
        "pictures": outputs,
        "jobs": count,
        f"submits/s, {_CONNECTIONS} at once": count / took,
        "first submit to last end s": end.from_submit_s(),
        "jobs/s": count / end.from_submit_s(),
    }
