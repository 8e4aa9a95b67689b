"""Accounts from the command line: opened, limited, suspended and deleted by an operator."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import RunningServer, environment
from tests.acceptance.test_cli import Run, failed, run_in


@pytest.fixture
def safelight(server: RunningServer, tmp_path: Path) -> Run:
    """The command on the machine where the server runs, whose key is an operator's."""
    return run_in(tmp_path, environment(server.data_dir))


def test_account_when_opened_is_limited_suspended_resumed_and_deleted(
    safelight: Run, server: RunningServer, tmp_path: Path
) -> None:
    made = json.loads(safelight("accounts", "create", "ann", "--json").stdout)
    account_id, key = made["account"]["id"], made["key"]["key"]
    variables = {"SAFELIGHT_URL": server.url, "SAFELIGHT_API_KEY": key}
    ann = run_in(tmp_path, environment(tmp_path / "elsewhere", variables))
    assert account_id in ann("whoami").stdout
    failed(ann("accounts", "list"), 2, "admin:read")
    assert "4" in safelight("accounts", "limit", account_id, "4").stdout
    failed(safelight("accounts", "limit", account_id, "many"), 2, "`default`")
    assert "unpaid" in safelight("accounts", "suspend", account_id, "--reason", "unpaid").stdout
    failed(ann("jobs"), 2, "suspended", "unpaid")
    assert "suspended: unpaid" in safelight("accounts", "list").stdout
    assert "open" in safelight("accounts", "resume", account_id).stdout
    assert ann("jobs").returncode == 0
    failed(safelight("accounts", "delete", account_id), 2, "(ann)", "--yes")
    assert safelight("accounts", "delete", account_id, "--yes").returncode == 0
    failed(ann("jobs"), 2, "revoked")
    failed(safelight("accounts", "show", account_id), 2, "no such account")


def test_account_when_it_is_the_operator_s_own_cannot_end(safelight: Run) -> None:
    own = json.loads(safelight("whoami", "--json").stdout)["id"]
    failed(safelight("accounts", "delete", own, "--yes"), 2, "admin:write")
    failed(safelight("accounts", "suspend", own, "--reason", "x"), 2, "admin:write")


def test_key_when_printed_for_a_new_account_is_alone_on_its_line(safelight: Run) -> None:
    made = safelight("accounts", "create", "bob")
    assert made.stdout.startswith("sk_")
    assert len(made.stdout.splitlines()) == 1


async def test_stream_when_its_account_is_suspended_or_deleted_is_over_within_five_seconds(
    server: RunningServer,
) -> None:
    later = {"prompt": "a cat", "model": "sketch", "start_at": "2090-01-01T00:00:00Z"}
    async with server.client() as operator:
        made = (await operator.post("/v1/admin/accounts", json={"name": "eve"})).json()
        at = f"/v1/admin/accounts/{made['account']['id']}"
        headers = {"Authorization": f"Bearer {made['key']['key']}"}
        job = (await operator.post("/v1/generate", json=later, headers=headers)).json()["id"]
        path = f"/v1/jobs/{job}/events"
        for end, status in (
            (operator.post(f"{at}/suspend", json={"reason": "unpaid"}), 403),
            (operator.delete(at), 401),
        ):
            await operator.post(f"{at}/resume")
            async with operator.stream("GET", path, headers=headers) as stream:
                frames = stream.aiter_bytes()
                assert b"snapshot" in await anext(frames)
                assert (await end).is_success
                async with asyncio.timeout(5):
                    assert [part async for part in frames if b"event: job.started" in part] == []
            assert (await operator.get(path, headers=headers)).status_code == status
