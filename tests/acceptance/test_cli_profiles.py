"""Signing in from the command line: a key is checked before it is kept, and used from then on."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import RunningServer, command, environment
from tests.acceptance.test_cli import failed, run_in

Typed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """The variables of another machine, where nothing of Safelight is set but the folder."""
    homes = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    given = {"SAFELIGHT_CONFIG_DIR": str(tmp_path / "config"), **homes}
    return {
        name: value
        for name, value in environment(tmp_path, given).items()
        if name != "SAFELIGHT_DATA_DIR"
    }


@pytest.fixture
def typed(tmp_path: Path, elsewhere: dict[str, str]) -> Typed:
    """The command there, with a line on its standard input."""

    def run(*words: str, line: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command(*words),
            check=False,
            capture_output=True,
            text=True,
            input=line,
            timeout=60,
            cwd=tmp_path,
            env=elsewhere,
        )

    return run


def new_key(server: RunningServer, folder: Path) -> dict[str, str]:
    here = run_in(folder, environment(server.data_dir))
    return json.loads(here("keys", "create", "ann", "--json").stdout)


def test_login_when_the_server_accepts_the_key_keeps_it_until_logout(
    server: RunningServer, tmp_path: Path, typed: Typed
) -> None:
    made = new_key(server, tmp_path)
    done = typed("login", server.url, "--profile", "studio", line=f"{made['key']}\n")
    assert done.returncode == 0, done.stderr
    assert made["key"] not in done.stdout + done.stderr
    assert server.url in typed("whoami").stdout
    listed = json.loads(typed("profiles", "--json").stdout)
    assert listed == [{"name": "studio", "url": server.url, "current": True}]
    assert typed("--profile", "studio", "jobs").returncode == 0
    failed(typed("--profile", "other", "jobs"), 2, "'other'", "studio")
    run_in(tmp_path, environment(server.data_dir))("keys", "revoke", made["id"])
    failed(typed("jobs"), 2, "revoked", "safelight login")
    assert typed("logout").returncode == 0
    assert json.loads(typed("profiles", "--json").stdout) == []
    failed(typed("logout"), 2, "not signed in")


def test_login_when_the_key_is_refused_or_none_keeps_nothing(
    server: RunningServer, tmp_path: Path, typed: Typed
) -> None:
    failed(typed("login", server.url, line=f"sk_{'0' * 32}\n"), 2, "revoked")
    for line in ("", "hunter2\n", f"sk_{'x' * 10_000}\n", "sk_a\r\nb\x00\n"):
        assert typed("login", server.url, line=line).returncode == 2
    failed(typed("login", "ftp://media.example", line="sk_x\n"), 2, "ftp://media.example")
    failed(typed("login", server.url, "--profile", "local", line="sk_x\n"), 2, "'local'")
    failed(typed("login", "http://127.0.0.1:1", line=f"sk_{'0' * 32}\n"), 3)
    assert not (tmp_path / "config" / "profiles.json").exists()


def test_profiles_when_there_are_several_one_is_current_and_local_is_none(
    server: RunningServer, tmp_path: Path, typed: Typed
) -> None:
    key = new_key(server, tmp_path)["key"]
    for name in ("first", "second"):
        assert typed("login", server.url, "--profile", name, line=f"{key}\n").returncode == 0
    assert "Commands go to first" in typed("profiles", "first").stdout
    current = [each for each in json.loads(typed("profiles", "--json").stdout) if each["current"]]
    assert [each["name"] for each in current] == ["first"]
    failed(typed("profiles", "third"), 2, "'third'")
    assert typed("profiles", "local").returncode == 0
    assert not any(each["current"] for each in json.loads(typed("profiles", "--json").stdout))
