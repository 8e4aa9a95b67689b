"""Every operation with generated input: no server error, and nothing the document does not say."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from safelight.accounts.scopes import OWNER_SCOPES
from tests import factories
from tests.household import Household, household
from tests.servers import free_port, wait_until_async

pytestmark = pytest.mark.slow

MOST_S = 150  # each identity
PHASES = ("examples", "coverage", "fuzzing")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)


@asynccontextmanager
async def served(home: Household) -> AsyncIterator[str]:
    """Serve the household on a port of this machine; nobody runs its jobs."""
    port = free_port()
    config = uvicorn.Config(home.safelight.asgi, port=port, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())

        async def is_up() -> bool:
            return server.started

        await wait_until_async(is_up, 30)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True


def ids_of(things: Mapping[str, str]) -> dict[str, str]:
    """Return what to put into paths, so that there is something behind most of them."""
    return {
        "job_id": things["job done"],
        "batch_id": things["batch done"],
        "asset_id": things["asset public"],
        "endpoint_id": things["endpoint"],
        "delivery_id": things["delivery"],
        "contact_id": things["contact"],
        "key": things["key public"],
        "provider": "fake",
    }


async def fuzz(url: str, key: str, folder: Path, ids: Mapping[str, str]) -> str:
    """Run schemathesis over every operation; return what it found, empty if nothing."""
    report = folder / "report.json"
    given = {f"path.{name}": value for name, value in ids.items()} | {"header.Prefer": "wait=0"}
    settings = folder / "schemathesis.toml"
    lines = [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in given.items()]
    settings.write_text("\n".join(["[parameters]", *lines]))
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        *("--config-file", settings, "run", f"{url}/openapi.json", "--no-color"),
        *("--header", f"Authorization: Bearer {key}", "--checks", ",".join(CHECKS)),
        *("--phases", ",".join(PHASES), "--max-examples", "4", "--seed", "7"),
        *("--max-time", str(MOST_S), "--no-shrink", "--warnings", "off", "--workers", "1"),
        *("--report-json-path", report),
        *("--continue-on-failure", "--generation-database", "none", "--request-timeout", "60"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        return output.decode()
    # The time may end while the last phase makes more input, but no sooner.
    done = json.loads(report.read_text())
    skipped = [name for name in PHASES if done["phases"][name]["status"] == "skip"]
    operations = done["operations"]
    is_whole = not skipped and operations["tested"] == operations["total"]
    return "" if is_whole else f"It was cut: {operations}, phases skipped: {skipped}"


@pytest.mark.timeout(600)
async def test_operations_when_input_is_generated_answer_as_documented(tmp_path: Path) -> None:
    async with household(tmp_path / "home") as home, served(home) as url:
        member = await factories.new_key(home.database, home.stranger)
        owner = await factories.new_key(home.database, home.owner, OWNER_SCOPES)
        for name, key, ids in (("member", member, {}), ("owner", owner, ids_of(home.things))):
            folder = tmp_path / name
            folder.mkdir()
            found = await fuzz(url, key, folder, ids)
            assert not found, f"as {name}:\n{found}"
