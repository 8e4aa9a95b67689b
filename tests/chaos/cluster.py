"""An installation in parts: PostgreSQL, a doorbell, an API, workers and janitors of its own."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import asyncpg
import httpx2
import psutil

from safelight import datadir
from safelight.accounts import store
from safelight.db.engine import Database, open_database
from safelight.providers.local.fake import ROTATED
from tests import factories
from tests.brokers import Broker, postgres, running, valkey
from tests.chaos.process import RoleProcess
from tests.leaks import LEAKS
from tests.servers import PostgresServer, free_port, wait_until

LEASE_S = 2.0
JANITOR_S = 0.5
_ANSWER_S = 15.0

_SETTINGS = {
    "SAFELIGHT_LEASE_S": str(LEASE_S),
    "SAFELIGHT_JANITOR_INTERVAL_S": str(JANITOR_S),
    "SAFELIGHT_RETRY_BASE_S": "0.2",
    "SAFELIGHT_MAX_ATTEMPTS": "20",  # a script begins anew in each process that the job meets
    "SAFELIGHT_GRACE_S": "1",
    "SAFELIGHT_REMOTE_SLOTS": "40",
    "SAFELIGHT_LOCAL_SLOTS": "1",
    "SAFELIGHT_FAKE_PROVIDER": "1",
    "SAFELIGHT_MIN_FREE_BYTES": "0",
}


@dataclass(frozen=True)
class Shape:
    """How many processes of each kind, and what is set beside the usual."""

    workers: int = 1
    janitors: int = 1
    worker_words: tuple[str, ...] = ("--lanes", "remote")
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    is_public: bool = False  # providers are told where to report


class Cluster:
    """The processes by kind; all of them share a folder, as on one machine."""

    def __init__(
        self, home: Path, database: Broker, rows: Path, doorbell: Broker, shape: Shape
    ) -> None:
        self.home = home
        self.database = database
        self._rows = rows
        self.doorbell = doorbell
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = {
            **_SETTINGS,
            "SAFELIGHT_DATABASE_URL": database.url,
            "SAFELIGHT_DOORBELL_URL": doorbell.url,
            "SAFELIGHT_PORT": str(self.port),
            **({"SAFELIGHT_PUBLIC_URL": self.url} if shape.is_public else {}),
            **shape.settings,
        }
        self.api = self.process("api", "api")
        self.workers = [
            self.process(f"worker-{number}", "worker", *shape.worker_words)
            for number in range(shape.workers)
        ]
        self.janitors = [
            self.process(f"janitor-{number}", "janitor") for number in range(shape.janitors)
        ]

    @property
    def processes(self) -> list[RoleProcess]:
        """All of our own."""
        return [self.api, *self.workers, *self.janitors]

    @property
    def data_dir(self) -> Path:
        """The folder of objects, and of the provider's ledger."""
        return self.home / "data"

    @cached_property
    def key(self) -> str:
        """The API key of the first account."""
        return datadir.local_key(self.data_dir)

    def process(self, name: str, *words: str, **extra: str) -> RoleProcess:
        """Return another process of this installation, not started."""
        return RoleProcess(name, words, self.home, self._settings | extra)

    def start(self) -> None:
        """Start everything, and wait until it works."""
        self.data_dir.mkdir()
        self.api.start()
        self.api.await_start()
        for process in self.workers + self.janitors:
            process.start()
        for process in self.workers + self.janitors:
            process.await_start()

    def client(self, key: str | None = None) -> httpx2.AsyncClient:
        """A client of the API, signed in as the first account or with `key`."""
        return httpx2.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key or self.key}"},
            timeout=_ANSWER_S,
            trust_env=False,
            event_hooks={"response": [LEAKS.hear]},
        )

    def open_database(self) -> Database:
        """Look at the rows behind everybody's back."""
        return open_database(self.database.url)

    async def new_keys(self, count: int) -> list[str]:
        """Return keys of as many new accounts."""
        database = self.open_database()
        try:
            keys: list[str] = []
            for number in range(count):
                account = await database.write(
                    lambda tx, name=f"account {number}": store.insert_account(tx, name)
                )
                keys.append(await factories.new_key(database, account.id))
            return keys
        finally:
            await database.close()

    def crash_database(self) -> None:
        """End PostgreSQL with all its children at once, as a power cut would."""
        pid = int((self._rows / "postmaster.pid").read_text().splitlines()[0])
        postmaster = psutil.Process(pid)
        killed = [postmaster, *postmaster.children(recursive=True)]
        for process in killed:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        # What still holds the shared memory would keep the next one from starting.
        wait_until(lambda: all(_is_over(process) for process in killed))
        self.database.kill()

    async def refuse_writes(self, refused: bool) -> None:
        """Make the database read-only, or writable again, for everybody at once."""
        await self._operate(
            f"ALTER DATABASE postgres SET default_transaction_read_only = {refused}",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )

    @property
    def rotated_key(self) -> Path:
        """The file that has the fake vendors refuse every call while it exists."""
        return self.data_dir / ROTATED

    async def trust_vendors_again(self) -> None:
        """Open every breaker: half a minute of peace would spare what is to be tried."""
        await self._operate("DELETE FROM breakers")

    async def _operate(self, *statements: str) -> None:
        writable = {"default_transaction_read_only": "off"}
        connection = await asyncpg.connect(self.database.url, server_settings=writable)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def close(self) -> None:
        """Leave no process behind."""
        for process in self.processes:
            process.close()


@contextmanager
def cluster(server: PostgresServer, home: Path, shape: Shape) -> Iterator[Cluster]:
    """Run an installation while the context is open; `server` lends PostgreSQL's programs."""
    with ExitStack() as stack:
        database = stack.enter_context(running(postgres(server, home)))
        doorbell = stack.enter_context(running(valkey(home)))
        rows = server.home / f"broker-{database.port}"
        made = Cluster(home, database, rows, doorbell, shape)
        stack.callback(made.close)
        made.start()
        yield made


def _is_over(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
