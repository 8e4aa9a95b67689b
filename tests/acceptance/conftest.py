"""A real server process for tests, as `safelight serve` starts it, on a folder of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2
import pytest

from safelight import datadir
from safelight.accounts import store
from safelight.db.engine import open_database
from tests import documented, factories
from tests.leaks import LEAKS
from tests.servers import free_port, tethered, wait_until

START_S = 30.0
STOP_S = 40.0
_ANSWER_S = 90.0


def environment(data_dir: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a process that knows only this data directory and what the test sets."""
    plain = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251  handed on to a child
        if not name.startswith("SAFELIGHT_") and name != "PROMPT"
    }
    return plain | {"SAFELIGHT_DATA_DIR": str(data_dir), "COLUMNS": "200"} | dict(extra or {})


def command(*words: str | Path) -> list[str]:
    """The command line of `safelight`; the process ends with this one."""
    return tethered(sys.executable, "-m", "safelight", *words)


class RunningServer:
    """One `safelight serve`, that can be stopped, killed and started again at the same address."""

    def __init__(
        self,
        data_dir: Path,
        extra: Mapping[str, str] | None = None,
        *,
        is_public: bool = False,
        url: str = "http://127.0.0.1:{port}",
    ) -> None:
        """With `is_public` providers are told where to report; `url` is where it is reached."""
        self.data_dir = data_dir
        self.port = free_port()
        self.url = url.format(port=self.port)
        self.log = data_dir.with_name(f"{data_dir.name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._from = 0
        self._environment = environment(
            data_dir,
            {
                "SAFELIGHT_PORT": str(self.port),
                "SAFELIGHT_FAKE_PROVIDER": "1",
                "SAFELIGHT_MIN_FREE_BYTES": "0",
                "SAFELIGHT_LOG_LEVEL": "debug",  # or some lines would never be looked at
                **({"SAFELIGHT_PUBLIC_URL": self.url} if is_public else {}),
                **(extra or {}),
            },
        )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        assert self._process is not None
        return self._process

    @property
    def output(self) -> str:
        """The output of the present process."""
        return self.log.read_bytes()[self._from :].decode(errors="replace")

    @property
    def login_url(self) -> str:
        """A new login link."""
        headers = {"Authorization": f"Bearer {self.key}"}
        made = httpx2.post(f"{self.url}/v1/login-links", headers=headers, trust_env=False)
        link: str = made.json()["url"]
        return link

    @property
    def key(self) -> str:
        """The API key of this machine's command line."""
        return datadir.local_key(self.data_dir)

    def start(self, *, ready: bool = True, options: tuple[str, ...] = ("--no-samples",)) -> None:
        """Start, and wait until it can serve, or at least answers."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        LEAKS.watch(self.log, self._environment)
        with self.log.open("ab") as output:
            self._from = output.tell()
            self._process = subprocess.Popen(
                command("serve", *options),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                cwd=self.data_dir,  # where there is no .env
            )
        wait_until(lambda: self._answers("/health/ready" if ready else "/health/live"), START_S)
        wait_until(lambda: "Safelight is ready at" in self.output, START_S)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and return its exit status."""
        self.process.send_signal(how)
        return self._end(STOP_S)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self._end(STOP_S)

    def restart(self) -> None:
        """Stop it in order, and start it again."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Leave no process, whatever the test did."""
        if self._process is not None and self._process.poll() is None:
            self.stop()

    def client(self, key: str | None = None) -> httpx2.AsyncClient:
        """A client of this server; it signs in with the local key unless given another."""
        return httpx2.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key or self.key}"},
            timeout=_ANSWER_S,
            trust_env=False,
            event_hooks={"response": [LEAKS.hear, documented.check]},
        )

    async def new_account_key(self) -> str:
        """The key of an account that is not the server's first."""
        database = open_database(f"sqlite:///{self.data_dir / 'safelight.db'}")
        try:
            account = await database.write(lambda tx: store.insert_account(tx, "somebody else"))
            return await factories.new_key(database, account.id)
        finally:
            await database.close()

    def _answers(self, path: str) -> bool:
        assert self.process.poll() is None, f"the server ended at start:\n{self.output}"
        try:
            return httpx2.get(self.url + path, timeout=5, trust_env=False).is_success
        except httpx2.TransportError:
            return False

    def _end(self, deadline_s: float) -> int:
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(deadline_s)
            raise


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_logged() -> Iterator[None]:
    """No process of this folder's tests logs a secret."""
    yield
    assert LEAKS.found() == []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that a module's tests share, on a data directory of its own."""
    running = RunningServer(tmp_path_factory.mktemp("server") / "data")
    running.start()
    yield running
    running.close()


@pytest.fixture(scope="session", autouse=True)
def api_document() -> None:
    """Have the API document ready, so that no timed response waits for it."""
    documented.prepare()
