"""An account taken along: exported by command, brought into an installation that has others."""

import asyncio
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import pictures
from tests.acceptance.conftest import RunningServer
from tests.acceptance.test_backup import run
from tests.servers import PostgresServer

WEEK = {"SAFELIGHT_DELETED_KEPT_DAYS": "7"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path / "old", WEEK)
    running.start()
    yield running
    running.close()


async def fill(server: RunningServer) -> tuple[str, list[dict[str, Any]]]:
    """Have an account make a picture, upload one, delete one, and leave one job undone."""
    key = await server.new_account_key()
    async with server.client() as other:
        await other.post("/v1/uploads", files={"file": ("not-mine.png", pictures.picture())})
    async with server.client(key) as api:
        body = {"prompt": "a red cat", "size": "256x256"}
        made = await api.post("/v1/generate", json=body, headers={"Prefer": "wait=30"})
        assert made.status_code == 200, made.text
        await api.post("/v1/uploads", files={"file": ("mine.jpg", pictures.picture("jpeg"))})
        gone = await api.post("/v1/uploads", files={"file": ("gone.png", pictures.picture())})
        assert (await api.delete(f"/v1/assets/{gone.json()['id']}")).status_code == 200
        hook = {"url": "https://example.com/hook"}
        assert (await api.post("/v1/webhooks", json=hook)).status_code == 201
        later = {"prompt": "later", "start_at": "2999-01-01T00:00:00Z"}
        assert (await api.post("/v1/generate", json=later)).status_code == 202
        account = (await api.get("/v1/account")).json()["id"]
        return account, (await api.get("/v1/assets")).json()["data"]


async def check(server: RunningServer, key: str, before: list[dict[str, Any]]) -> None:
    async with server.client(key) as api:
        there = (await api.get("/v1/assets")).json()["data"]
        assert [asset["id"] for asset in there] == [asset["id"] for asset in before]
        for asset in there:
            file = await api.get(asset["url"])
            assert (file.status_code, len(file.content)) == (200, asset["bytes"])
        cats = (await api.get("/v1/assets", params={"q": "red cat"})).json()["data"]
        assert [asset["prompt"] for asset in cats] == ["a red cat"]
        jobs = (await api.get("/v1/jobs")).json()["data"]
        assert [job["status"] for job in jobs] == ["succeeded"]
        (deleted,) = (await api.get("/v1/trash")).json()["data"]
        back = await api.post(f"/v1/trash/{deleted['id']}/restore")
        assert (await api.get(back.json()["url"])).status_code == 200
        assert (await api.get("/v1/webhooks")).json()["data"] == []
        actions = [line["action"] for line in (await api.get("/v1/audit")).json()["data"]]
        assert actions == ["asset.restored", "key.created", "asset.deleted"]
        body = {"prompt": "new", "size": "256x256"}
        made = await api.post("/v1/generate", json=body, headers={"Prefer": "wait=30"})
        assert made.status_code == 200, made.text
        usage = (await api.get("/v1/usage/storage")).json()
        counts = {each["what"]: each["count"] for each in usage["data"]}
        assert counts["image"] == 4
        assert usage["bytes"] == sum(each["bytes"] for each in usage["data"])


@pytest.mark.slow
def test_account_when_exported_comes_into_an_installation_with_others(
    server: RunningServer, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    account, before = asyncio.run(fill(server))
    taken = tmp_path / "taken.tar"
    done = run(server.data_dir, "account", "export", account, "-o", str(taken))
    assert done.returncode == 0, done.stderr
    assert run(server.data_dir, "account", "export", "acc_none").returncode == 1
    here = run(server.data_dir, "account", "import", str(taken))
    assert (here.returncode, "here already" in here.stderr) == (1, True)
    with tarfile.open(taken) as tar:
        rows = {name for name in tar.getnames() if name.startswith("rows/")}
    assert not rows & {"rows/keys.jsonl", "rows/endpoints.jsonl", "rows/secrets.jsonl"}

    for name, extra in (
        ("lite", WEEK),
        ("big", WEEK | {"SAFELIGHT_DATABASE_URL": postgres_server.create_database()}),
    ):
        new = RunningServer(tmp_path / name, extra)
        new.start()
        try:

            async def upload(new: RunningServer = new) -> None:
                async with new.client() as api:
                    file = {"file": ("x.png", pictures.picture())}
                    assert (await api.post("/v1/uploads", files=file)).status_code == 201

            asyncio.run(upload())
            brought = run(new.data_dir, "account", "import", str(taken), **extra)
            assert brought.returncode == 0, brought.stderr
            asyncio.run(check(new, brought.stdout.strip(), before))
            listed = run(new.data_dir, "account", "list", **extra).stdout.splitlines()
            assert [line.split("\t")[2] for line in listed] == ["4 assets", "1 assets"]
            used = json.loads(run(new.data_dir, "storage", "usage", "--json", **extra).stdout)
            assert {each["account_id"] for each in used} == {line.split("\t")[0] for line in listed}
            well = run(new.data_dir, "storage", "fsck", **extra)
            assert (well.returncode, "All is well" in well.stderr) == (0, True), well.stdout
        finally:
            new.close()


@pytest.mark.slow
def test_import_when_the_file_is_odd_changes_nothing(server: RunningServer, tmp_path: Path) -> None:
    account, _ = asyncio.run(fill(server))
    whole, backup = tmp_path / "whole.tar", tmp_path / "backup.tar"
    assert run(server.data_dir, "account", "export", account, "-o", str(whole)).returncode == 0
    assert run(server.data_dir, "backup", "-o", str(backup)).returncode == 0
    new = tmp_path / "new"
    refused = run(new, "account", "import", str(backup))
    assert (refused.returncode, "safelight restore" in refused.stderr) == (1, True)
    refused = run(new, "restore", str(whole))
    assert (refused.returncode, "account import" in refused.stderr) == (1, True)

    smuggled = tmp_path / "smuggled.tar"
    with tarfile.open(whole) as old, tarfile.open(smuggled, "w") as tar:
        for entry in old:
            tar.addfile(entry, old.extractfile(entry))
        entry = tarfile.TarInfo("objects/images/job_x/not-mine.png")
        entry.size = 3
        tar.addfile(entry, io.BytesIO(b"new"))
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    for bad in (smuggled, cut):
        refused = run(new, "account", "import", str(bad))
        assert refused.returncode == 1, refused.stdout
        assert run(new, "account", "list").stdout == ""
    assert run(new, "account", "import", str(whole)).returncode == 0
