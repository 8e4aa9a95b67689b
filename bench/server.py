"""Runs a real Safelight process with the `fake` provider for as long as a measurement takes."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from safelight import datadir

_START_S = 20


@dataclass(frozen=True, slots=True)
class Server:
    """Where it answers and who it is."""

    url: str
    key: str
    pid: int
    data_dir: Path

    def client(self) -> httpx2.AsyncClient:
        """Return a client that is signed in."""
        return httpx2.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=60,
            limits=httpx2.Limits(max_connections=200, max_keepalive_connections=200),
        )

    def memory_mib(self) -> float:
        """Return the process's resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0


@contextmanager
def running_server() -> Generator[Server]:
    """Yield a server on a free port with a data directory of its own; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="safelight-bench-") as folder:
        environment = os.environ | {  # noqa: TID251  handed on to the server
            "SAFELIGHT_DATA_DIR": folder,
            "SAFELIGHT_PORT": "0",
            "SAFELIGHT_FAKE_PROVIDER": "1",
            "SAFELIGHT_LOG_LEVEL": "error",
        }
        command = [sys.executable, "-m", "safelight", "serve", "--no-samples"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
            try:
                yield _await(process, Path(folder))
            finally:
                process.terminate()
                process.wait(30)


def _await(process: subprocess.Popen[bytes], folder: Path) -> Server:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        found = datadir.running_server(folder)
        key = datadir.local_key(folder)
        if found and key and _answers(found.url):
            return Server(found.url, key, process.pid, folder)
        time.sleep(0.05)  # noqa: TID251  nothing else runs in this process yet
    raise RuntimeError("The server did not start.")


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/ready", timeout=2).is_success
    except httpx2.HTTPError:
        return False
