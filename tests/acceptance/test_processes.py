"""`safelight worker --processes N`: several workers under one command."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.chaos.asking import submit, until_final
from tests.chaos.cluster import Cluster, Shape, cluster
from tests.chaos.process import START_S, RoleProcess
from tests.servers import PostgresServer, wait_until

pytestmark = pytest.mark.slow

DEADLINE_S = 30


@pytest.fixture
def whole(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Cluster]:
    with cluster(postgres_server, tmp_path, Shape(workers=0)) as running:
        yield running


@pytest.fixture
def both(whole: Cluster) -> Iterator[RoleProcess]:
    process = whole.process("both", "worker", "--processes", "2", "--lanes", "remote")
    process.start()
    wait_until(lambda: workers(process, 2), START_S)
    yield process
    process.close()


def workers(both: RoleProcess, started: int) -> list[psutil.Process] | None:
    """Return the two worker processes once so many have come to work."""
    if both.output.count("is at work") < started:
        return None
    return psutil.Process(both.pid).children()


async def test_workers_when_one_is_killed_run_all_jobs_and_end_with_the_command(
    whole: Cluster, both: RoleProcess
) -> None:
    first = workers(both, 2)
    assert first is not None
    first[0].kill()
    again = wait_until(lambda: workers(both, 3), START_S)
    assert len(again) == 2
    assert first[1] in again
    async with whole.client() as api:
        job_ids = [await submit(api, f"one of many {number}") for number in range(8)]
        for job_id in job_ids:
            assert (await until_final(api, job_id, DEADLINE_S))["status"] == "succeeded"
    assert both.stop() == 0
    assert not any(child.is_running() for child in again)


def test_workers_when_the_command_is_killed_end_too(both: RoleProcess) -> None:
    left = workers(both, 2)
    assert left is not None
    both.kill()
    _, alive = psutil.wait_procs(left, timeout=DEADLINE_S)
    assert not alive
