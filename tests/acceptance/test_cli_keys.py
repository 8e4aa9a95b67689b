"""API keys from the command line: made, used, rotated and revoked, as an operator does it."""

import asyncio
import json
from pathlib import Path

import httpx2
import pytest

from tests.acceptance.conftest import RunningServer, environment
from tests.acceptance.test_cli import Run, failed, run_in


@pytest.fixture
def safelight(server: RunningServer, tmp_path: Path) -> Run:
    """The command on the machine where the server runs."""
    return run_in(tmp_path, environment(server.data_dir))


def with_key(server: RunningServer, folder: Path, key: str) -> Run:
    """The command on another machine, with a key of its own."""
    variables = {"SAFELIGHT_URL": server.url, "SAFELIGHT_API_KEY": key}
    return run_in(folder, environment(folder / "elsewhere", variables))


def test_key_when_made_opens_what_it_may_until_it_is_revoked(
    safelight: Run, server: RunningServer, tmp_path: Path
) -> None:
    made = safelight("keys", "create", "my shop", "--scope", "jobs:*", "--json")
    key = json.loads(made.stdout)
    shop = with_key(server, tmp_path, key["key"])
    assert "jobs:read jobs:write" in shop("whoami").stdout
    assert shop("jobs").returncode == 0
    failed(shop("assets"), 2, "assets:read")
    assert "my shop" in safelight("keys", "list").stdout
    assert key["key"] not in safelight("keys", "list", "--json").stdout
    assert safelight("keys", "revoke", key["id"]).returncode == 0
    failed(shop("jobs"), 2, "revoked")


def test_key_when_rotated_prints_the_new_one_alone(
    safelight: Run, server: RunningServer, tmp_path: Path
) -> None:
    old = json.loads(safelight("keys", "create", "ci", "--json").stdout)
    rotated = safelight("keys", "rotate", old["id"], "--overlap-hours", "0")
    assert with_key(server, tmp_path, rotated.stdout.strip())("jobs").returncode == 0
    failed(with_key(server, tmp_path, old["key"])("jobs"), 2, "expired")


def test_key_when_its_scope_does_not_exist_says_which_do(safelight: Run) -> None:
    failed(safelight("keys", "create", "x", "--scope", "jobs:fly"), 2, "jobs:fly", "jobs:write")


async def test_stream_when_its_key_or_session_ends_is_over_within_five_seconds(
    server: RunningServer,
) -> None:
    async with server.client() as api:
        made = (await api.post("/v1/keys", json={"name": "viewer"})).json()
        later = {"prompt": "a cat", "model": "sketch", "start_at": "2090-01-01T00:00:00Z"}
        job = (await api.post("/v1/generate", json=later)).json()["id"]
        headers = {"Authorization": f"Bearer {made['key']}"}
        path = f"/v1/jobs/{job}/events"
        async with httpx2.AsyncClient(base_url=server.url, trust_env=False) as browser:
            assert (await browser.post("/v1/session", json={"key": made["key"]})).is_success
            async with (
                api.stream("GET", path, headers=headers) as by_key,
                browser.stream("GET", path) as by_session,
                api.stream("GET", path) as other,
            ):
                frames = [each.aiter_bytes() for each in (by_key, by_session, other)]
                assert all([b"snapshot" in await anext(each) for each in frames])
                assert (await api.delete(f"/v1/keys/{made['id']}")).status_code == 204
                async with asyncio.timeout(5):
                    for each in frames[:2]:
                        assert [part async for part in each if b"event:" in part] == []
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await anext(frames[2])
            assert (await browser.get(path)).status_code == 401
        await api.post(f"/v1/jobs/{job}/cancel")
