"""`safelight api`, `worker` and `janitor`: the parts of one process as processes of their own."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.conftest import command, environment
from tests.chaos.asking import look, seconds, submit, until_final
from tests.chaos.cluster import Cluster, Shape, cluster
from tests.servers import PostgresServer, free_port, wait_until_async

pytestmark = pytest.mark.slow

DEADLINE_S = 30
BAD_USE = 2
# Nobody looks for work without a ring as soon as this, so what comes sooner came by the doorbell.
BY_ITSELF_S = 20.0
AT_ONCE_S = 1.5
NOBODYS_PORT = free_port()
SETTINGS = {
    "SAFELIGHT_LEASE_S": "60",
    "SAFELIGHT_JANITOR_INTERVAL_S": str(BY_ITSELF_S),
    "SAFELIGHT_FETCH_ALLOW_PRIVATE": "true",
    "SAFELIGHT_FETCH_PORTS": str(NOBODYS_PORT),
}


@pytest.fixture(scope="module")
def whole(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("roles")
    with cluster(postgres_server, home, Shape(settings=SETTINGS)) as running:
        yield running


async def test_stream_when_another_process_runs_the_job_tells_of_it_at_once(
    whole: Cluster,
) -> None:
    async with whole.client() as api:
        job_id = await submit(api, "a red cat", seconds=3)
        heard = await _follow(api, f"/v1/jobs/{job_id}/events")
        job = await look(api, job_id)
    kinds = [kind for kind, _, _ in heard]
    assert kinds[0] == "snapshot"
    assert kinds[-1] == "job.succeeded"
    assert "job.progress" in kinds or heard[0][1]["stage"] == "pretending"  # it began before
    lag = [at - seconds(data["created_at"]) for kind, data, at in heard if kind != "snapshot"]
    assert max(lag) < AT_ONCE_S
    assert seconds(job["started_at"]) - seconds(job["created_at"]) < AT_ONCE_S
    assert len(job["outputs"]) == 1


async def test_api_when_the_picture_was_made_by_a_worker_serves_it(whole: Cluster) -> None:
    async with whole.client() as api:
        body = {"prompt": "two birds", "model": "fake"}
        answer = await api.post("/v1/generate", json=body, headers={"Prefer": "wait=10"})
        picture = await api.get(answer.json()["outputs"][0]["url"], headers={"Authorization": ""})
    assert (answer.status_code, picture.status_code) == (200, 200)
    assert picture.content.startswith(b"\x89PNG")


async def test_cancel_when_another_process_runs_the_job_stops_the_work_there(
    whole: Cluster,
) -> None:
    async with whole.client() as api:
        job_id = await submit(api, "endless", seconds=600)

        async def is_running() -> bool:
            return (await look(api, job_id))["status"] == "running"

        await wait_until_async(is_running)
        (await api.post(f"/v1/jobs/{job_id}/cancel")).raise_for_status()
        let_go = f"job_id={job_id}"

        async def is_let_go() -> bool:
            lines = whole.workers[0].output.splitlines()
            return any(let_go in line and "job let go" in line for line in lines)

        await wait_until_async(is_let_go, BY_ITSELF_S / 2)


async def test_worker_when_given_lanes_leaves_the_others_alone(whole: Cluster) -> None:
    """The only worker of the shape serves `remote`; downloads wait for one that serves `ingest`."""
    ingesting = whole.process("ingesting", "worker", "--lanes", "ingest", "--concurrency", "1")
    async with whole.client() as api:
        address = f"http://127.0.0.1:{NOBODYS_PORT}/picture.png"
        answer = (await api.post("/v1/images", json={"url": address})).raise_for_status()
        job_id = answer.json()["id"]
        assert (await until_final(api, await submit(api, "later"), DEADLINE_S))["finished_at"]
        assert (await look(api, job_id))["status"] == "queued"
        ingesting.start()
        try:

            async def is_started() -> bool:
                return (await look(api, job_id))["started_at"] is not None

            await wait_until_async(is_started, DEADLINE_S)
        finally:
            assert ingesting.stop() == 0


async def test_worker_when_given_a_probe_port_answers_health_and_nothing_else(
    whole: Cluster,
) -> None:
    port = free_port()
    probed = whole.process("probed", "janitor", SAFELIGHT_PROBE_PORT=str(port))
    probed.start()
    try:
        probed.await_start()
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            ready = await http.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "ok")
            assert (await http.get("/metrics")).text.startswith("# HELP")
            assert (await http.get("/v1/jobs")).status_code == 404
    finally:
        assert probed.stop() == 0


@pytest.mark.parametrize("role", ["api", "worker", "janitor"])
@pytest.mark.parametrize("url", ["", "sqlite:///{}/safelight.db"])
def test_role_when_the_database_is_sqlite_is_refused(tmp_path: Path, role: str, url: str) -> None:
    code, said = _run(tmp_path, role, SAFELIGHT_DATABASE_URL=url.format(tmp_path))
    assert code == BAD_USE
    assert "SAFELIGHT_DATABASE_URL" in said
    assert "Traceback" not in said


def test_worker_when_given_a_lane_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    code, said = _run(tmp_path, "worker", "--lanes", "fast")
    assert code == BAD_USE
    assert "ingest" in said


def _run(home: Path, *words: str, **extra: str) -> tuple[int, str]:
    done = subprocess.run(
        command(*words),
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        cwd=home,
        env=environment(home / "data", extra),
    )
    return done.returncode, done.stdout + done.stderr


async def _follow(api: httpx2.AsyncClient, url: str) -> list[tuple[str, dict[str, Any], float]]:
    """Return the events of a stream, each with the moment when it came."""
    heard: list[tuple[str, dict[str, Any], float]] = []
    kind = ""
    async with asyncio.timeout(DEADLINE_S), api.stream("GET", url) as answer:
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                heard.append((kind, json.loads(value), time.time()))
    return heard
