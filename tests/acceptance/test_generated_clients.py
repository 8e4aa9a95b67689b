"""Clients that others generate from the OpenAPI document, in Python and TypeScript."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests import documented
from tests.acceptance.conftest import RunningServer

pytestmark = pytest.mark.slow

HERE = dict(os.environ)  # noqa: TID251  what is started needs its PATH
ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / ".cache" / "clients" / "bin"
# The generator knows no media type of pictures or archives; what it is told here it reads as bytes.
BINARY = ("image/png", "application/zip")
PROGRAM = """
import sys
from safelight_client.client import AuthenticatedClient
from safelight_client.api.account import list_models
from safelight_client.api.jobs import follow_job, get_job, list_jobs
from safelight_client.api.submit import create_generation
from safelight_client.models import Generate, Job, JobList, ModelList, Problem, SubmittedJob

url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key)
models = list_models.sync(client=client)
assert isinstance(models, ModelList), models
assert "fake" in [model.id for model in models.data]
made = create_generation.sync_detailed(
    client=client, body=Generate(prompt="a cat", model="fake"), prefer="wait=30"
)
assert made.status_code == 200, made
assert isinstance(made.parsed, SubmittedJob), made.parsed
job = get_job.sync(made.parsed.id, client=client)
assert isinstance(job, Job), job
assert job.status == "succeeded", job
assert job.outputs[0].media_type == "image/png", job
jobs = list_jobs.sync(client=client, limit=1)
assert isinstance(jobs, JobList), jobs
assert jobs.data[0].id == job.id, jobs
missing = get_job.sync("job_nobody", client=client)
assert isinstance(missing, Problem), missing
assert missing.code == "not_found", missing
told = follow_job.sync_detailed(job.id, client=client)
assert b"event: snapshot" in told.content
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(documented.document()))
    return path


def run(*arguments: str | Path, **environment: str) -> str:
    found = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        env=HERE | environment,
        check=False,
        cwd=ROOT,
        timeout=240,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout + found.stderr


@pytest.mark.timeout(300)
def test_python_client_when_generated_calls_a_running_server(
    document: Path, tmp_path: Path, server: RunningServer
) -> None:
    settings = tmp_path / "settings.json"
    as_bytes = dict.fromkeys(BINARY, "application/octet-stream")
    settings.write_text(json.dumps({"content_type_overrides": as_bytes}))
    assert CLIENTS.exists(), "`make test-slow` sets up the generator"
    said = run(
        CLIENTS / "openapi-python-client",
        *("generate", "--path", document, "--config", settings, "--meta", "none"),
        *("--output-path", tmp_path / "safelight_client", "--fail-on-warning"),
        PATH=f"{CLIENTS}:{HERE['PATH']}",
    )
    assert "warning" not in said.lower(), said
    run(CLIENTS / "python", "-c", PROGRAM, server.url, server.key, PYTHONPATH=str(tmp_path))


@pytest.mark.timeout(300)
def test_typescript_types_when_generated_compile(document: Path, tmp_path: Path) -> None:
    programs, target = ROOT / "node_modules" / ".bin", tmp_path / "safelight.ts"
    node = f"{ROOT / '.tools' / 'bin'}:{HERE['PATH']}"
    said = run(programs / "openapi-typescript", document, "--output", target, PATH=node)
    assert "warn" not in said.lower(), said
    run(programs / "tsc", "--noEmit", "--strict", target, PATH=node)
    assert "create_generation" in target.read_text()
