"""Runs a real Safelight process with the `fake` provider for as long as a measurement takes."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2

from bench.children import running
from bench.service import Service
from safelight import datadir
from tests.servers import wait_until

_START_S = 30
_AT_WORK = b"is at work"


@dataclass(frozen=True, slots=True)
class Server:
    """Its URL and its process."""

    url: str
    key: str
    process: subprocess.Popen[bytes]
    data_dir: Path
    database_url: str
    processes: str = "1 process"
    worker_pid: int = 0  # of a process apart

    @property
    def pid(self) -> int:
        """The process that answers and works."""
        return self.process.pid

    def client(self) -> httpx2.AsyncClient:
        """Return a client that is signed in."""
        return httpx2.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=60,
            limits=httpx2.Limits(max_connections=200, max_keepalive_connections=200),
        )

    def service(self) -> Service:
        """Return what is measured of it and of a peer alike."""
        dialect = "PostgreSQL" if self.database_url.startswith("postgresql:") else "SQLite"
        return Service(
            name=f"Safelight, {dialect}, {self.processes}",
            port=int(self.url.rpartition(":")[2]),
            key=self.key,
            prefix="/v1",
            database_url=self.database_url,
            ledger=self.data_dir / "fake-ledger.jsonl",
        )

    def memory_mib(self) -> float:
        """Return the process's resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0


@dataclass(frozen=True, slots=True)
class Setup:
    """How a server differs from one that was just installed."""

    database_url: str = ""  # empty: SQLite in its data directory
    remote_slots: int = 2000
    lease_s: float = 30
    command: tuple[str, ...] = ("serve", "--no-samples")
    extra: Mapping[str, str] = field(default_factory=dict[str, str])  # more settings

    def environment(self, folder: Path) -> dict[str, str]:
        """Return what the process is told."""
        return {
            "SAFELIGHT_DATA_DIR": str(folder),
            "SAFELIGHT_DATABASE_URL": self.database_url,
            "SAFELIGHT_PORT": "0",
            "SAFELIGHT_FAKE_PROVIDER": "1",
            "SAFELIGHT_LOG_LEVEL": "error",
            "SAFELIGHT_REMOTE_SLOTS": str(self.remote_slots),
            "SAFELIGHT_LEASE_S": str(self.lease_s),
            "SAFELIGHT_FILE_REQUESTS_PER_S": "0",
            "SAFELIGHT_GRACE_S": "0",  # what still runs at the end was measured already
            **self.extra,
        }


_AS_INSTALLED = Setup()


@contextmanager
def running_server(setup: Setup = _AS_INSTALLED) -> Generator[Server]:
    """Yield a server on a free port with a data directory of its own; both are gone afterwards."""
    with _folder() as folder, _running(folder, setup, *setup.command) as process:
        yield _await(process, folder, setup)


@contextmanager
def running_apart(setup: Setup) -> Generator[Server]:
    """Yield an API whose jobs a worker process runs."""
    with (
        _folder() as folder,
        _running(folder, setup, "api") as process,
        _worker(folder, setup) as worker,
    ):
        server = _await(process, folder, setup)
        yield replace(server, processes="API and worker apart", worker_pid=worker.pid)


@contextmanager
def running_worker(setup: Setup, processes: int) -> Generator[subprocess.Popen[bytes]]:
    """Yield the process of a worker command once all of its `processes` are at work."""
    with _folder() as folder, _worker(folder, setup, processes) as process:
        yield process


@contextmanager
def _folder() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="safelight-bench-") as name:
        yield Path(name)


@contextmanager
def _worker(folder: Path, setup: Setup, processes: int = 1) -> Generator[subprocess.Popen[bytes]]:
    with _running(folder, setup, "worker", "--processes", str(processes)) as process:
        log = folder / "worker.log"

        def are_at_work() -> bool:
            return _lives(process, log) and log.read_bytes().count(_AT_WORK) >= processes

        wait_until(are_at_work, _START_S)
        yield process


@contextmanager
def _running(folder: Path, setup: Setup, *words: str) -> Generator[subprocess.Popen[bytes]]:
    command = (sys.executable, "-m", "safelight", *words)
    log = folder / f"{words[0]}.log"
    with running(*command, log=log, extra=setup.environment(folder)) as process:
        yield process


def _lives(process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"It ended at start:\n{log.read_text()}")
    return True


def _await(process: subprocess.Popen[bytes], folder: Path, setup: Setup) -> Server:
    until = time.monotonic() + _START_S
    database_url = setup.database_url or f"sqlite:///{folder / 'safelight.db'}"
    while time.monotonic() < until and process.poll() is None:
        found = datadir.running_server(folder)
        key = datadir.local_key(folder)
        if found and key and _answers(found.url):
            return Server(found.url, key, process, folder, database_url)
        time.sleep(0.05)  # noqa: TID251  nothing else runs in this process yet
    said = "\n".join(log.read_text() for log in folder.glob("*.log"))
    raise RuntimeError(f"The server did not start:\n{said}")


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/ready", timeout=2).is_success
    except httpx2.HTTPError:
        return False
