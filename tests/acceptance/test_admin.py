"""Operations over HTTP and by command: who may, what is shown, and what comes back to life."""

import json
import subprocess
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from safelight.accounts import store
from safelight.db.engine import open_database
from tests import factories
from tests.acceptance.conftest import RunningServer, command, environment
from tests.servers import wait_until_async

DEADLINE_S = 60
BROKEN = {"outputs": 0, "errors": ["provider_rejected"]}
NUMBERS = count(1)
ADMIN_ROUTES = (
    ("GET", "/v1/admin/lanes", None),
    ("GET", "/v1/admin/workers", None),
    ("POST", "/v1/admin/lanes/gpu/pause", None),
    ("POST", "/v1/admin/lanes/gpu/resume", None),
    ("GET", "/v1/admin/dead-letters", None),
    ("POST", "/v1/admin/dead-letters/redrive", {}),
    ("PATCH", "/v1/admin/accounts/acc_x", {"max_in_flight": 1}),
)
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as client:
        yield client


@pytest.fixture
async def stranger(server: RunningServer) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of another account, with a key that is no admin's."""
    database = open_database(f"sqlite:///{server.data_dir / 'safelight.db'}")
    account = await database.write(lambda tx: store.insert_account(tx, "a stranger"))
    key = await factories.new_key(database, account.id)
    await database.close()
    async with server.client(key) as client:
        yield client


@pytest.fixture
def safelight(server: RunningServer, tmp_path: Path) -> Run:
    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command(*words),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=DEADLINE_S,
            cwd=tmp_path,
            env=environment(server.data_dir),
        )

    return run


async def send(client: httpx2.AsyncClient, **params: Any) -> dict[str, Any]:
    body = {"prompt": "a lamp", "model": "fake", "params": {"outputs": 0} | params}
    return (await client.post("/v1/generate", json=body)).raise_for_status().json()


async def fail(client: httpx2.AsyncClient) -> str:
    """The id of a job that has just failed; it succeeds when it is redriven."""
    body = {"prompt": f"lamp {next(NUMBERS)}", "model": "fake", "params": BROKEN}
    answer = await client.post("/v1/generate", json=body, headers={"Prefer": "wait=60"})
    assert answer.json()["status"] == "failed", answer.text
    return answer.json()["id"]


async def until(client: httpx2.AsyncClient, job_id: str, status: str) -> None:
    async def there() -> bool:
        return (await client.get(f"/v1/jobs/{job_id}")).json()["status"] == status

    await wait_until_async(there, DEADLINE_S)


# --- who may ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body"), ADMIN_ROUTES)
async def test_admin_route_when_the_key_has_not_the_scope_is_forbidden(
    stranger: httpx2.AsyncClient, method: str, path: str, body: dict[str, Any] | None
) -> None:
    answer = await stranger.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


# --- lanes -----------------------------------------------------------------------------------


async def test_lane_when_paused_keeps_jobs_queued_until_it_is_resumed(
    api: httpx2.AsyncClient,
) -> None:
    paused = (await api.post("/v1/admin/lanes/remote/pause")).json()
    again = (await api.post("/v1/admin/lanes/remote/pause")).json()
    assert paused == again
    assert (paused["name"], paused["paused"]) == ("remote", True)
    job = await send(api)

    shown = (await api.get("/v1/admin/lanes")).json()

    lanes = {lane["name"]: lane for lane in shown["lanes"]}
    assert set(lanes) == {"local", "gpu", "ingest", "remote"}
    assert lanes["remote"]["paused_at"] == paused["paused_at"]
    assert (lanes["remote"]["ready"], lanes["remote"]["ready_at_least"]) == (1, False)
    assert lanes["remote"]["oldest_wait_s"] >= 0
    assert [(one["name"], one["ready"]) for one in shown["providers"]] == [("fake", 1)]
    assert (await api.get(f"/v1/jobs/{job['id']}")).json()["status"] == "queued"

    resumed = (await api.post("/v1/admin/lanes/remote/resume")).json()
    assert resumed == {"name": "remote", "paused": False, "paused_at": None}
    await until(api, job["id"], "succeeded")


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_lane_when_there_is_none_of_that_name_is_not_found(
    api: httpx2.AsyncClient, verb: str
) -> None:
    answer = await api.post(f"/v1/admin/lanes/nowhere/{verb}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


# --- dead letters ----------------------------------------------------------------------------


async def test_dead_letters_when_listed_come_of_all_accounts_page_by_page(
    api: httpx2.AsyncClient, stranger: httpx2.AsyncClient
) -> None:
    mine = await fail(api)
    theirs = await fail(stranger)
    query: dict[str, Any] = {"error": "provider_rejected", "limit": 1}
    first = (await api.get("/v1/admin/dead-letters", params=query)).json()
    query["cursor"] = first["next_cursor"]
    second = (await api.get("/v1/admin/dead-letters", params=query)).json()
    letters = first["data"] + second["data"]
    assert [letter["id"] for letter in letters] == [theirs, mine]
    assert letters[0]["error"]["code"] == "provider_rejected"
    assert letters[0]["account_id"] != letters[1]["account_id"]
    assert "prompt" not in letters[0]
    other = await api.get("/v1/admin/dead-letters", params={"error": "timed_out"})
    assert other.json() == {"data": [], "next_cursor": None}


async def test_redrive_when_asked_by_an_account_brings_back_its_own_alone(
    api: httpx2.AsyncClient, stranger: httpx2.AsyncClient
) -> None:
    mine, theirs = await fail(api), await fail(stranger)
    done = await stranger.post("/v1/jobs/redrive", json={"error": "provider_rejected"})
    assert done.status_code == 200
    assert done.json() == {"redriven": 1, "skipped": 0, "next_cursor": None}
    await until(stranger, theirs, "succeeded")
    assert (await api.get(f"/v1/jobs/{mine}")).json()["status"] == "failed"

    refused = await stranger.post("/v1/jobs/redrive", json={"account_id": "acc_x"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "account_id")


async def test_redrive_when_asked_by_an_admin_brings_back_what_the_filter_names(
    api: httpx2.AsyncClient, stranger: httpx2.AsyncClient
) -> None:
    theirs = await fail(stranger)
    account_id = (await stranger.get("/v1/account")).json()["id"]
    path = "/v1/admin/dead-letters/redrive"
    none = await api.post(path, json={"account_id": account_id, "lane": "gpu"})
    assert none.json() == {"redriven": 0, "skipped": 0, "next_cursor": None}
    done = await api.post(path, json={"account_id": account_id, "limit": 5})
    assert done.json() == {"redriven": 1, "skipped": 0, "next_cursor": None}
    await until(stranger, theirs, "succeeded")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limit": 10_001}, "limit"),
        ({"limit": 0}, "limit"),
        ({"finished_after": "2030-01-01T00:00:00"}, "finished_after"),
        ({"kind": "poem"}, "kind"),
        ({"model": "a\x00"}, "model"),
        ({"everything": True}, "everything"),
    ],
)
async def test_redrive_when_the_filter_is_wrong_names_the_field(
    api: httpx2.AsyncClient, body: dict[str, Any], field: str
) -> None:
    answer = await api.post("/v1/admin/dead-letters/redrive", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("cursor", ["x", "1-", "99999999999999999-job_1", "1-job_1%00"])
async def test_dead_letters_when_the_cursor_is_none_of_ours_says_so(
    api: httpx2.AsyncClient, cursor: str
) -> None:
    answer = await api.get(f"/v1/admin/dead-letters?cursor={cursor}")
    assert answer.status_code == 422
    if "%00" not in cursor:  # refused for every query
        assert answer.json()["errors"][0]["field"] == "cursor"


# --- accounts --------------------------------------------------------------------------------


async def test_account_when_limited_says_so_until_the_limit_is_taken_back(
    api: httpx2.AsyncClient, stranger: httpx2.AsyncClient
) -> None:
    account_id = (await stranger.get("/v1/account")).json()["id"]
    path = f"/v1/admin/accounts/{account_id}"
    limited = await api.patch(path, json={"max_in_flight": 0})
    assert (limited.status_code, limited.json()["max_in_flight"]) == (200, 0)
    job = await send(stranger)
    theirs = (await stranger.get(f"/v1/jobs/{job['id']}")).json()
    assert theirs["status"] == "queued"
    freed = await api.patch(path, json={"max_in_flight": None})
    assert freed.json()["max_in_flight"] is None
    await until(stranger, job["id"], "succeeded")

    assert (await api.patch(path, json={})).status_code == 422
    assert (await api.patch(path, json={"max_in_flight": -1})).status_code == 422
    unknown = await api.patch("/v1/admin/accounts/acc_x", json={"max_in_flight": 1})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


# --- by command ------------------------------------------------------------------------------


async def test_lanes_command_when_a_lane_is_paused_shows_it(
    safelight: Run, api: httpx2.AsyncClient
) -> None:
    done = safelight("pause", "remote")
    assert done.stdout == "remote is paused: what runs goes on, nothing more is started\n"
    job = await send(api)

    shown = safelight("lanes").stdout.splitlines()
    overview = json.loads(safelight("lanes", "--json").stdout)

    assert shown[0].split("\t") == ["gpu", "no", "0", "", "0", "0", "0"]
    remote = next(line.split("\t") for line in shown if line.startswith("remote\t"))
    assert remote[1].startswith("for ")
    assert remote[2] == "1"
    assert "fake\t1\t0\t0" in shown
    assert {lane["name"]: lane["paused"] for lane in overview["lanes"]}["remote"]

    assert json.loads(safelight("resume", "remote", "--json").stdout)["paused"] is False
    await until(api, job["id"], "succeeded")


def test_pause_command_when_there_is_no_such_lane_fails_in_one_line(safelight: Run) -> None:
    done = safelight("pause", "nowhere")
    assert done.returncode == 2
    assert done.stderr == "safelight: Not found: There is no such lane.\n"


async def test_dead_letter_commands_when_used_in_turn_list_and_redrive(
    safelight: Run, api: httpx2.AsyncClient, stranger: httpx2.AsyncClient
) -> None:
    safelight("redrive", "--all-failed", "--all-accounts")
    mine, theirs = await fail(api), await fail(stranger)

    listed = safelight("dead-letters", "--error", "provider_rejected").stdout.splitlines()
    documents = json.loads(safelight("dead-letters", "--json").stdout)

    assert [line.split("\t")[0] for line in listed] == [theirs, mine]
    assert listed[0].split("\t")[2:4] == ["provider_rejected", "fake"]
    assert [document["id"] for document in documents] == [theirs, mine]

    assert safelight("redrive", "--all-failed", "--model", "fake").stdout == "1 queued anew\n"
    await until(api, mine, "succeeded")
    done = json.loads(safelight("redrive", "--all-failed", "--all-accounts", "--json").stdout)
    assert done == {"redriven": 1, "skipped": 0, "next_cursor": None}
    await until(stranger, theirs, "succeeded")
    assert safelight("dead-letters").stderr == "There are no such dead letters.\n"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("job_1", "--all-failed"),
        ("job_1", "--model", "fake"),
        ("--model", "fake"),
        ("--all-failed", "-o", "x.png"),
        ("--all-failed", "--account", "acc_1", "--all-accounts"),
    ],
)
def test_redrive_command_when_it_is_not_clear_what_is_meant_does_nothing(
    safelight: Run, words: tuple[str, ...]
) -> None:
    done = safelight("redrive", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
