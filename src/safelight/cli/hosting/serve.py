"""The server process: starts, announces its URL, and serves until it is asked to stop."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Self

from pydantic import ValidationError
from rich.console import Console

from safelight import datadir, telemetry
from safelight.accounts.scopes import OWNER_SCOPES
from safelight.app import ALL_ROLES, ProcessRole, Safelight, open_offline
from safelight.cli import samples
from safelight.cli.client import Client
from safelight.cli.environment import is_set, read_settings
from safelight.cli.failure import BadUse
from safelight.cli.hosting import host
from safelight.cli.hosting.exposure import check_exposure
from safelight.cli.hosting.supervisor import Supervisor
from safelight.cli.show import Screen
from safelight.errors import SafelightError
from safelight.jobs.ledger import store as job_store
from safelight.providers.provider import Lane
from safelight.settings import Settings

_log = telemetry.logger(__name__)
_MOST_COUNTED = 10_000
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def serve_api() -> None:
    """Answer requests until a signal, and leave the work to other processes."""
    _check_shared(read_settings())
    await serve("", with_samples=False, roles=frozenset({ProcessRole.API}))


async def serve_workers(processes: int, *, lanes: str = "", concurrency: int | None = None) -> None:
    """Run several workers until a signal; `concurrency` is how many jobs of each lane in each."""
    settings = _narrowed(read_settings(), lanes, concurrency)
    _check_shared(settings)
    if settings.probe_port:
        raise BadUse("SAFELIGHT_PROBE_PORT is of one process: leave it out, or --processes.")
    words = ["--lanes", lanes] if lanes else []
    if concurrency is not None:
        words += ["--concurrency", str(concurrency)]
    command = (sys.executable, "-m", "safelight", "worker", *words, "--until-stdin-ends")
    screen = Screen(notes=Console(highlight=False))
    await Supervisor(command, processes, screen.note).run()
    screen.note("Stopped.")


async def serve_role(
    role: ProcessRole,
    *,
    lanes: str = "",
    concurrency: int | None = None,
    until_stdin_ends: bool = False,
) -> None:
    """Do one part of the work until a signal; `concurrency` is how many jobs of each lane."""
    settings = _narrowed(read_settings(), lanes, concurrency)
    _check_shared(settings)
    telemetry.configure_logs(settings.log_level, settings.log_format)
    screen = Screen(notes=Console(highlight=False))
    with ExitStack() as stack:
        listener = None
        if settings.probe_port:
            listener = stack.enter_context(
                host.listen(settings.host, settings.probe_port, exactly=True)
            )
        stop = stack.enter_context(_Stop(screen))
        if until_stdin_ends:
            stack.enter_context(stop.at_end_of(sys.stdin.fileno()))
        async with host.hosted(settings, listener, roles=frozenset({role})) as whole:
            if role is ProcessRole.WORKER:
                await _warm(whole)
            probes = f"; health at {host.address_of(listener)}/health/ready" if listener else ""
            screen.note(f"The {role.value} is at work (process {os.getpid()}){probes}.")
            await stop.wait()
    screen.note("Stopped.")


def _check_shared(settings: Settings) -> None:
    if settings.database_url.startswith("sqlite:") or not settings.database_url:
        raise BadUse(
            "Separate processes share a PostgreSQL: set SAFELIGHT_DATABASE_URL=postgresql://… "
            "With SQLite, `safelight serve` does everything in one process."
        )


def _narrowed(settings: Settings, lanes: str, concurrency: int | None) -> Settings:
    """Return the settings with what the command line says of lanes and slots."""
    given: dict[str, object] = {}
    if lanes:
        given["lanes"] = lanes
    if concurrency is not None:
        # A slot of the local lane is a process: only who names that lane wants so many.
        chosen = lanes.split(",") if lanes else ["gpu", "ingest", "remote"]
        given |= {f"{lane}_slots": concurrency for lane in chosen}
    try:
        return Settings.model_validate(settings.model_dump() | given)
    except ValidationError:
        known = ", ".join(lane.value for lane in Lane)
        raise BadUse(f"--lanes takes names with commas between, of: {known}.") from None


async def serve(
    prompt: str, *, with_samples: bool, roles: frozenset[ProcessRole] = ALL_ROLES
) -> None:
    """Serve until a signal; `prompt` is drawn at once, a first start shows one job of each kind."""
    settings = read_settings()
    telemetry.configure_logs(_log_level(settings), settings.log_format)
    screen = Screen(notes=Console(highlight=False))
    await check_exposure(settings)
    with _listen(settings) as listener, _Stop(screen) as stop:
        placed = _place(settings, listener)
        async with host.hosted(placed, listener, roles=roles) as whole:
            here = host.address_of(listener)
            owner = await host.local_owner(whole, screen.note)
            datadir.announce(placed.data_dir, datadir.RunningServer(here, os.getpid()))
            _welcome(screen, whole, await _login_link(whole, owner.account_id))
            if settings.port not in (0, placed.port):
                screen.note(f"Port {settings.port} is taken by another program; this is the next.")
            async with Client(here, owner.key) as client, asyncio.TaskGroup() as group:
                warming = group.create_task(_warm(whole))
                showing = group.create_task(_show(client, screen, prompt, with_samples, placed))
                await stop.wait()
                warming.cancel()
                showing.cancel()
    screen.note(f"Stopped. {await _left(placed)}")


async def _left(settings: Settings) -> str:
    """Return what goes on at the next start, as a sentence."""
    try:
        async with open_offline(settings) as kept:
            count = await kept.database.read(
                lambda tx: job_store.unfinished(tx, most=_MOST_COUNTED)
            )
    except SafelightError:  # the database went away first
        return "Unfinished jobs will go on at the next start."
    if not count:
        return "No job is left."
    if count == 1:
        return "One unfinished job will go on at the next start."
    more = " or more" if count == _MOST_COUNTED else ""
    return f"{count}{more} unfinished jobs will go on at the next start."


async def _warm(whole: Safelight) -> None:
    try:
        await whole.warm()
    except SafelightError as error:
        _log.warning("computing processes not warmed", error=error.detail)


async def _show(
    client: Client, screen: Screen, prompt: str, with_samples: bool, settings: Settings
) -> None:
    if with_samples and await samples.send(client, screen, prompt):
        files = f"; the files are in {settings.objects}" if settings.objects else ""
        screen.note(f"All results are on the web page{files}.")


def _log_level(settings: Settings) -> str:
    """Return the level that was set; a person at a terminal who set none came for no log."""
    at_terminal = sys.stderr.isatty() and not is_set(settings, "log_level")
    return "warning" if at_terminal else settings.log_level


def _listen(settings: Settings) -> socket.socket:
    return host.listen(settings.host, settings.port, exactly=is_set(settings, "port"))


def _place(settings: Settings, listener: socket.socket) -> Settings:
    """Return the settings with the port that was found."""
    return settings.model_copy(update={"port": listener.getsockname()[1]})


async def _login_link(whole: Safelight, account_id: str) -> str:
    """Return a login link for a person at a terminal; a log gets the command that makes one."""
    if not sys.stdout.isatty():
        return "with the link that `safelight login` prints"
    token = await whole.services.access.sessions.login_token(account_id, OWNER_SCOPES)
    return f"{whole.url}/login?token={token}  (works once; `safelight login` prints another)"


def _welcome(screen: Screen, whole: Safelight, login: str) -> None:
    screen.note(f"Safelight is ready at {whole.url}")
    screen.note(f"  log in  {login}")
    screen.note(f"  data    {whole.settings.data_dir}")
    screen.note(f"  stop    Ctrl-C, or SIGTERM to process {os.getpid()}")


class _Stop:
    """Hears the first signal as a request to stop; the second ends the process at once."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def wait(self) -> None:
        await self._asked.wait()

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    @contextmanager
    def at_end_of(self, pipe: int) -> Generator[None]:
        """Stop as well once `pipe`, in which nothing is written, is closed at its other end."""

        def ended() -> None:
            self._loop.remove_reader(pipe)
            self._asked.set()

        self._loop.add_reader(pipe, ended)
        try:
            yield
        finally:
            self._loop.remove_reader(pipe)

    def _hear(self) -> None:
        self._let_go()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._screen.note("Stopping, once what runs has ended; a second signal ends at once.")
        self._asked.set()

    def _let_go(self) -> None:
        for number in _SIGNALS:
            self._loop.remove_signal_handler(number)
