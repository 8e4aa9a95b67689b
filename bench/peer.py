"""Runs the peer's processes: its API by uvicorn, its worker by Celery's own command."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from celery import Celery

from bench.children import running
from bench.components import Components
from bench.peers import tables
from bench.service import Service
from tests.servers import free_port, wait_until

_START_S = 30.0
_COLD_SHUTDOWN = signal.SIGQUIT  # Celery ends its children and waits for no job


@dataclass(frozen=True, slots=True)
class Pool:
    """How a Celery worker runs jobs: `prefork` or `threads`, and how many at once."""

    kind: str
    slots: int

    def __str__(self) -> str:
        return f"Celery {self.kind} {self.slots}"


@dataclass(frozen=True, slots=True)
class Peer:
    """One installation: a database, a broker and a folder of its own, and a key."""

    database_url: str
    broker_url: str
    folder: Path
    key: str
    extra: Mapping[str, str]  # more settings

    @contextmanager
    def api(self, name: str) -> Generator[Service]:
        """Run the API while the context is open."""
        with _uvicorn("bench.peers.api:app", self._environment(), self.folder) as port:
            yield Service(
                name=f"FastAPI + {name}",
                port=port,
                key=self.key,
                prefix="",
                database_url=self.database_url,
                ledger=self.folder / "ledger.jsonl",
            )

    @contextmanager
    def worker(self, pool: Pool, name: str = "worker") -> Generator[subprocess.Popen[bytes]]:
        """Run a worker while the context is open; `name` sets it apart from others."""
        log = self.folder / f"{name}.log"
        command = (
            *(sys.executable, "-m", "celery", "-A", "bench.peers.worker", "worker"),
            *("--pool", pool.kind, "--concurrency", str(pool.slots), "--loglevel", "WARNING"),
            *("--hostname", name),
        )
        with running(
            *command,
            log=log,
            extra=self._environment(),
            on_death=_COLD_SHUTDOWN,
            stop=_COLD_SHUTDOWN,
        ) as process:
            wait_until(lambda: _lives(process, log) and self._answers(), _START_S)
            yield process

    def _answers(self) -> bool:
        with Celery(broker=self.broker_url) as client:
            return bool(client.control.ping(timeout=0.3))

    def _environment(self) -> dict[str, str]:
        return {
            "PEER_DATABASE_URL": self.database_url,
            "PEER_BROKER_URL": self.broker_url,
            "PEER_FILES": str(self.folder / "files"),
            "PEER_LEDGER": str(self.folder / "ledger.jsonl"),
            **self.extra,
        }


@contextmanager
def new_peer(ground: Components, extra: Mapping[str, str] | None = None) -> Generator[Peer]:
    """Yield a peer with tables and a key; none of its processes runs yet."""
    database_url = ground.postgres.new_database()
    with tempfile.TemporaryDirectory(prefix="peer-bench-") as name:
        folder = Path(name)
        (folder / "files").mkdir()
        key = tables.create(database_url)
        yield Peer(database_url, ground.valkey.new_database(), folder, key, extra or {})


@contextmanager
def bare(ground: Components) -> Generator[Service]:
    """Run the least that a submit can be."""
    database_url = ground.postgres.new_database()
    with tempfile.TemporaryDirectory(prefix="peer-bench-") as name:
        folder = Path(name)
        extra = {"PEER_DATABASE_URL": database_url}
        with _uvicorn("bench.peers.bare:app", extra, folder) as port:
            yield Service(
                name="bare FastAPI + INSERT",
                port=port,
                key="",
                prefix="",
                database_url=database_url,
                ledger=folder / "none",
            )


@contextmanager
def _uvicorn(application: str, extra: Mapping[str, str], folder: Path) -> Generator[int]:
    """Run one process of uvicorn, with its loop and parser in C; yield its port."""
    port = free_port()
    log = folder / "api.log"
    command = (
        *(sys.executable, "-m", "uvicorn", application, "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    )
    with running(*command, log=log, extra=extra) as process:
        wait_until(lambda: _lives(process, log) and _is_up(port), _START_S)
        yield port


def _lives(process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"It ended at start:\n{log.read_text()}")
    return True


def _is_up(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health/ready", timeout=2).is_success
    except httpx2.HTTPError:
        return False
