"""`safelight serve` as a process: ready, told of, announced, stopped, and refused where taken."""

import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
from pathlib import Path

import httpx2
import pytest

from safelight import datadir
from safelight.cli.failure import Failure
from safelight.cli.hosting import host
from tests.acceptance.conftest import RunningServer, command, environment
from tests.servers import free_port, wait_until

DEADLINE_S = 60


def test_serve_when_started_tells_where_it_is_and_opens_the_page(server: RunningServer) -> None:
    assert f"Safelight is ready at {server.url}" in server.output
    assert str(server.data_dir) in server.output
    with httpx2.Client(trust_env=False) as browser:
        opened = browser.get(server.login_url)
        assert (opened.status_code, opened.headers["location"]) == (303, "./")
        assert browser.get(f"{server.url}/v1/account").json()["name"] == "local"


def test_login_link_when_the_output_is_a_log_is_only_printed_on_request(
    server: RunningServer,
) -> None:
    assert "`safelight login`" in server.output
    assert "token=" not in server.output
    done = subprocess.run(
        command("login"),
        check=True,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=environment(server.data_dir),
    )
    assert re.fullmatch(rf"{server.url}/login\?token=lnk_\w+\n", done.stdout)


def test_login_link_when_the_output_is_a_terminal_is_shown_whole(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    extra = {"SAFELIGHT_PORT": str(free_port())}
    with subprocess.Popen(
        command("serve", "--no-samples"),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=environment(tmp_path / "data", extra),
        cwd=tmp_path,
    ) as process:
        try:
            shown = bytearray()

            def link() -> list[bytes]:
                shown.extend(os.read(ours, 4096) if select.select([ours], [], [], 1)[0] else b"")
                return re.findall(rb"/login\?token=lnk_\w+  \(works once", shown)

            wait_until(link, DEADLINE_S)
        finally:
            process.terminate()
            process.wait(DEADLINE_S)
            os.close(ours)
            os.close(theirs)


def test_serve_when_started_keeps_a_key_for_its_owner_only(server: RunningServer) -> None:
    kept = server.data_dir / "key.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    found = datadir.running_server(server.data_dir)
    assert found == datadir.RunningServer(server.url, server.process.pid)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_serve_when_asked_to_stop_ends_well_and_starts_again_with_the_same_key(
    tmp_path: Path, how: signal.Signals
) -> None:
    server = RunningServer(tmp_path / "data")
    server.start()
    key = server.key

    assert server.stop(how) == 0
    assert "Stopped. No job is left." in server.output
    assert datadir.running_server(server.data_dir) is None
    server.start()
    try:
        assert server.key == key
    finally:
        server.close()


def test_serve_when_its_database_was_made_anew_replaces_the_key_and_says_so(
    tmp_path: Path,
) -> None:
    server = RunningServer(tmp_path / "data")
    server.start()
    try:
        old = server.key
        server.stop()
        for path in server.data_dir.glob("safelight.db*"):
            path.unlink()
        server.start()
        assert server.key != old
        assert "is of another database, or was revoked: it is replaced." in server.output
        jobs = command("jobs")
        variables = environment(server.data_dir)
        assert subprocess.run(jobs, env=variables, timeout=60, check=False).returncode == 0

        # Another database under a running server: the command says what to do.
        datadir.keep_local_key(server.data_dir, old)
        done = subprocess.run(
            jobs, env=variables, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 2
        assert "Restart the server, which replaces it." in done.stderr
        server.restart()
        assert subprocess.run(jobs, env=variables, timeout=60, check=False).returncode == 0
    finally:
        server.close()


def test_serve_when_stopped_with_work_left_says_how_much(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "data", {"SAFELIGHT_GRACE_S": "0"})
    server.start()
    try:
        body = {"prompt": "slow", "model": "fake", "params": {"seconds": 60}}
        with httpx2.Client(trust_env=False) as client:
            headers = {"Authorization": f"Bearer {server.key}"}
            for _ in range(2):
                client.post(f"{server.url}/v1/generate", json=body, headers=headers)
        assert server.stop(signal.SIGINT) == 0
        assert "Stopped. 2 unfinished jobs will go on at the next start." in server.output
    finally:
        server.close()


def test_serve_when_signaled_twice_ends_at_once(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "data", {"SAFELIGHT_GRACE_S": "60"})
    server.start()
    try:
        body = {"prompt": "slow", "model": "fake", "params": {"seconds": 60}}
        with httpx2.Client(trust_env=False) as client:
            headers = {"Authorization": f"Bearer {server.key}", "Prefer": "wait=1"}
            job = client.post(f"{server.url}/v1/generate", json=body, headers=headers).json()
        assert job["status"] == "running"
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "a second signal" in server.output)
        assert server.stop() == -signal.SIGTERM
    finally:
        server.close()


def test_serve_when_the_key_file_is_lost_makes_another_key(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "data")
    server.start()
    first = server.key
    server.stop()
    datadir.keep_local_key(server.data_dir, "sk_of_another_installation")
    server.start()
    try:
        assert server.key not in (first, "sk_of_another_installation")
        answer = httpx2.get(
            f"{server.url}/v1/account",
            headers={"Authorization": f"Bearer {server.key}"},
            trust_env=False,
        )
        assert answer.status_code == 200
    finally:
        server.close()


def refused(data_dir: Path, port: int) -> str:
    """The one line with which a second server ends."""
    done = subprocess.run(
        command("serve", "--no-samples"),
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        cwd=data_dir.parent,
        env=environment(data_dir, {"SAFELIGHT_PORT": str(port)}),
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    return line


def test_serve_when_the_directory_is_taken_names_who_has_it(server: RunningServer) -> None:
    line = refused(server.data_dir, free_port())
    assert line.startswith("safelight: Another Safelight already uses")
    assert server.url in line


def test_serve_when_the_chosen_port_is_taken_says_so(server: RunningServer, tmp_path: Path) -> None:
    line = refused(tmp_path / "data", server.port)
    assert f"127.0.0.1:{server.port}" in line
    assert "SAFELIGHT_PORT" in line


def kinds(server: RunningServer) -> list[str]:
    """The kinds of the server's jobs, newest first; all of them have ended."""
    headers = {"Authorization": f"Bearer {server.key}"}
    answer = httpx2.get(f"{server.url}/v1/jobs", headers=headers, trust_env=False)
    jobs = answer.json()["data"]
    assert {job["status"] for job in jobs} == {"succeeded"}
    return [job["kind"] for job in jobs]


def test_serve_when_started_first_does_one_job_of_each_kind(tmp_path: Path) -> None:
    three = ["image_to_3d", "import_image", "text_to_image"]
    server = RunningServer(tmp_path / "data")
    server.start(options=())
    try:
        wait_until(lambda: "All results are" in server.output, DEADLINE_S)
        assert kinds(server) == three
    finally:
        server.close()
    # Words of one's own are drawn at any start, the rest only at the first.
    again = RunningServer(tmp_path / "data", {"PROMPT": "a blue boat"})
    again.start(options=())
    try:
        wait_until(lambda: "All results are" in again.output, DEADLINE_S)
        assert "a blue boat: succeeded" in again.output
        assert kinds(again) == ["text_to_image", *three]
    finally:
        again.close()


def test_listen_when_the_default_port_is_taken_takes_the_next() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with host.listen("127.0.0.1", port, exactly=False) as other:
            assert port < other.getsockname()[1] <= port + 50
            assert host.address_of(other) == f"http://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(Failure, match="Address already in use"):
            host.listen("127.0.0.1", port, exactly=True)
