"""Runs a real Safelight process with the `fake` provider for as long as a measurement takes."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from bench.children import running
from bench.service import Service
from safelight import datadir

_START_S = 30


@dataclass(frozen=True, slots=True)
class Server:
    """Its URL and its process."""

    url: str
    key: str
    process: subprocess.Popen[bytes]
    data_dir: Path
    database_url: str

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
            name=f"Safelight, {dialect}, 1 process",
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
    with tempfile.TemporaryDirectory(prefix="safelight-bench-") as name:
        folder = Path(name)
        log = folder / "bench.log"
        command = (sys.executable, "-m", "safelight", *setup.command)
        with running(*command, log=log, extra=setup.environment(folder)) as process:
            yield _await(process, folder, setup)


def _await(process: subprocess.Popen[bytes], folder: Path, setup: Setup) -> Server:
    until = time.monotonic() + _START_S
    database_url = setup.database_url or f"sqlite:///{folder / 'safelight.db'}"
    while time.monotonic() < until and process.poll() is None:
        found = datadir.running_server(folder)
        key = datadir.local_key(folder)
        if found and key and _answers(found.url):
            return Server(found.url, key, process, folder, database_url)
        time.sleep(0.05)  # noqa: TID251  nothing else runs in this process yet
    raise RuntimeError(f"The server did not start:\n{(folder / 'bench.log').read_text()}")


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/ready", timeout=2).is_success
    except httpx2.HTTPError:
        return False
