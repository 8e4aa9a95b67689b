"""A backup of a server at work, restored into an empty installation, on the other database too."""

import asyncio
import os
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from safelight import datadir
from tests import pictures
from tests.acceptance.conftest import RunningServer, command, environment
from tests.servers import PostgresServer, wait_until_async

pytestmark = pytest.mark.slow

LIMIT_S = 60.0


def run(data: Path, *words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        cwd=data.parent,
        env=environment(data, {"SAFELIGHT_FAKE_PROVIDER": "1", **extra}),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path / "old")
    running.start()
    yield running
    running.close()


async def fill(server: RunningServer) -> dict[str, Any]:
    """Let a server make, import, and have work under way; return all its assets."""
    async with server.client() as api:
        wait = {"Prefer": "wait=30"}
        for prompt in ("a red cat", "a blue dog"):
            body = {"prompt": prompt, "size": "256x256"}
            assert (await api.post("/v1/generate", json=body, headers=wait)).status_code == 200
        await api.post("/v1/uploads", files={"file": ("mine.png", pictures.picture())})
        slow = {"prompt": "slow", "model": "fake", "params": {"seconds": 2, "pending": True}}
        assert (await api.post("/v1/generate", json=slow)).status_code == 202
        return (await api.get("/v1/assets")).json()


async def check(server: RunningServer, key: str, before: dict[str, Any]) -> None:
    """All is there as it was, found by search, and what was under way goes on."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(
        base_url=server.url, headers=headers, timeout=30, trust_env=False
    ) as api:
        found = (
            await api.get("/v1/assets", params={"created_before": "2999-01-01T00:00:00Z"})
        ).json()
        old = {asset["id"]: asset for asset in before["data"]}
        there = {asset["id"]: asset for asset in found["data"]}
        assert set(old) <= set(there)
        for name, asset in old.items():
            assert there[name]["sha256"] == asset["sha256"]
            path = asset["url"].partition("/files/")[2]
            file = await api.get(f"{server.url}/files/{path}")
            assert len(file.content) == asset["bytes"]
        cats = (await api.get("/v1/assets", params={"q": "red cat"})).json()["data"]
        assert [asset["prompt"] for asset in cats] == ["a red cat"]

        async def all_done() -> bool:
            jobs = (await api.get("/v1/jobs")).json()["data"]
            return all(job["status"] == "succeeded" for job in jobs)

        await wait_until_async(all_done, LIMIT_S)
        made = await api.post(
            "/v1/generate",
            json={"prompt": "new", "size": "256x256"},
            headers={"Prefer": "wait=30"},
        )
        assert made.status_code == 200, made.text


def test_backup_when_restored_into_an_empty_installation_is_all_there(
    server: RunningServer, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    before = asyncio.run(fill(server))
    key = datadir.local_key(server.data_dir)
    made = run(server.data_dir, "backup", "-o", str(tmp_path / "all.tar"))
    assert made.returncode == 0, made.stderr
    server.stop()
    with tarfile.open(tmp_path / "all.tar") as tar:
        names = tar.getnames()
    assert names[0] == "manifest.json"
    objects = server.data_dir / "objects"
    stored = {
        str(path.relative_to(server.data_dir)) for path in objects.rglob("*/*/*") if path.is_file()
    }
    assert {name for name in names if name.startswith("objects/")} == stored
    assert len(stored) >= 5

    for name, extra in (
        ("lite", {}),
        ("big", {"SAFELIGHT_DATABASE_URL": postgres_server.create_database()}),
    ):
        data = tmp_path / name
        restored = run(data, "restore", str(tmp_path / "all.tar"), **extra)
        assert restored.returncode == 0, restored.stderr
        again = run(data, "restore", str(tmp_path / "all.tar"), **extra)
        assert (again.returncode, "empty installation" in again.stderr) == (1, True)
        new = RunningServer(data, extra)
        new.start()
        try:
            asyncio.run(check(new, key, before))
        finally:
            new.close()


@pytest.mark.slow
def test_restore_when_the_file_is_damaged_or_none_leaves_an_empty_installation(
    server: RunningServer, tmp_path: Path
) -> None:
    asyncio.run(fill(server))
    whole = tmp_path / "all.tar"
    assert run(server.data_dir, "backup", "-o", str(whole)).returncode == 0
    content = whole.read_bytes()
    for name, bad in (("cut", content[: len(content) // 2]), ("none", b"not a tar" * 1000)):
        damaged = tmp_path / f"{name}.tar"
        damaged.write_bytes(bad)
        done = run(tmp_path / "new", "restore", str(damaged))
        assert done.returncode == 1, done.stdout
        assert "backup" in done.stderr
    assert run(tmp_path / "new", "restore", str(tmp_path / "nowhere.tar")).returncode == 2
    assert run(tmp_path / "new", "restore", str(whole)).returncode == 0


@pytest.mark.slow
def test_backup_when_the_output_is_no_regular_file_refuses_and_dash_streams(
    server: RunningServer, tmp_path: Path
) -> None:
    asyncio.run(fill(server))
    link, pipe = tmp_path / "link.tar", tmp_path / "pipe.tar"
    link.symlink_to(tmp_path / "elsewhere.tar")
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path):
        done = run(server.data_dir, "backup", "-o", str(path))
        assert (done.returncode, "not a regular file" in done.stderr) == (2, True), done.stderr
    assert link.is_symlink()
    assert pipe.is_fifo()
    whole = tmp_path / "all.tar"
    whole.write_bytes(b"old")
    whole.chmod(0o644)
    assert run(server.data_dir, "backup", "-o", str(whole)).returncode == 0
    assert whole.stat().st_mode & 0o777 == 0o600

    streamed = subprocess.run(
        command("backup", "-o", "-"),
        env=environment(server.data_dir),
        cwd=tmp_path,
        capture_output=True,
        timeout=LIMIT_S,
        check=True,
    )
    copy = tmp_path / "streamed.tar"
    copy.write_bytes(streamed.stdout)
    verified = run(tmp_path / "none", "backup", "verify", str(copy))
    assert verified.returncode == 0, verified.stderr
    assert not (tmp_path / "none").exists()
    for word in (b"a red cat", b"sha256"):
        content = whole.read_bytes()
        assert word in content
        copy.write_bytes(content.replace(word, word.upper(), 1))
        for words in (("backup", "verify"), ("restore",)):
            done = run(tmp_path / "new", *words, str(copy))
            assert (done.returncode, "rows/" in done.stderr) == (1, True), done.stderr
    assert run(tmp_path / "new", "restore", str(whole)).returncode == 0
    assert not list(tmp_path.glob(".*"))


def test_backup_when_interrupted_says_so_and_leaves_no_file(
    server: RunningServer, tmp_path: Path
) -> None:
    asyncio.run(fill(server))
    os.mkfifo(tmp_path / "full")  # nobody reads it: the backup waits in the middle
    with subprocess.Popen(
        ["sh", "-c", 'exec "$@" > full', "sh", *command("backup", "-o", "-")],
        env=environment(server.data_dir),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        reader = os.open(tmp_path / "full", os.O_RDONLY)
        os.read(reader, 1)
        process.send_signal(signal.SIGINT)
        while os.read(reader, 1 << 16):
            pass
        os.close(reader)
        assert process.wait(LIMIT_S) == 130
        assert process.stderr
        assert "Interrupted. No backup was written." in process.stderr.read()


@pytest.mark.slow
def test_keeping_when_there_is_no_installation_is_an_error_and_makes_none(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    empty = {"SAFELIGHT_DATABASE_URL": postgres_server.create_database()}
    for words in (
        ("backup", "-o", str(tmp_path / "all.tar")),
        ("account", "list"),
        ("account", "export", "acc_1"),
        ("storage", "fsck"),
        ("storage", "usage"),
    ):
        for name, extra in (("none", {}), ("scratch", empty)):
            done = run(tmp_path / name, *words, **extra)
            assert done.returncode == 1, done.stdout
            assert "There is no installation in" in done.stderr
    assert not (tmp_path / "none").exists()
    assert not (tmp_path / "all.tar").exists()


def test_backup_when_storage_lost_files_lists_them_and_fails(
    server: RunningServer, tmp_path: Path
) -> None:
    asyncio.run(fill(server))
    server.stop()
    (original,) = (server.data_dir / "objects" / "originals").rglob("*-*")
    original.unlink()
    key = str(original.relative_to(server.data_dir / "objects"))
    whole = str(tmp_path / "all.tar")
    made = run(server.data_dir, "backup", "-o", whole)
    assert made.returncode == 1
    assert f"lost: {key}" in made.stderr
    checked = run(server.data_dir, "storage", "fsck", "--deep", "--repair")
    assert (checked.returncode, "DELETE /v1/assets/" in checked.stderr) == (1, True)
    restored = run(tmp_path / "new", "restore", whole)
    assert (restored.returncode, "1 files are lost" in restored.stdout) == (0, True)
