"""Runs a whole Safelight behind a web server in this process, until its context ends."""

import asyncio
import errno
import gc
import os
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from uvicorn import Config, Server

from safelight import configured, datadir
from safelight.accounts.errors import AccountSuspended, Unauthenticated
from safelight.accounts.scopes import OWNER_SCOPES
from safelight.app import ALL_ROLES, ProcessRole, Safelight, open_safelight
from safelight.cli.failure import Failure
from safelight.settings import Settings

# Longer than clients and proxies keep idle connections (nginx and AWS 60 s, Google 600 s), so that
# it is never the server that closes one while a request is on its way.
_KEEP_ALIVE_S = 620
_CLOSING_S = 5  # for answers under way when the server stops
_PORTS_TRIED = 50
_HIGHEST_PORT = 65535
_BACKLOG = 2048
_COLLECT_AFTER = (10_000, 10, 25)  # allocations, then collections of the younger generation


@dataclass(frozen=True, slots=True)
class Owner:
    """The first account of an installation, and the key of this machine's command line for it."""

    account_id: str
    key: str = field(repr=False)


def listen(host: str, port: int, *, exactly: bool) -> socket.socket:
    """Return a socket that listens at `port`, or at the next free one if not `exactly` there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last = port if exactly or port == 0 else min(port + _PORTS_TRIED, _HIGHEST_PORT)
    for candidate in range(port, last + 1):
        try:
            # `::` takes IPv4 too, as `0.0.0.0` does.
            both = host == "::" and socket.has_dualstack_ipv6()
            return socket.create_server(
                (host, candidate), family=family, backlog=_BACKLOG, dualstack_ipv6=both
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE and candidate < last:
                continue
            number = error.errno or 0
            why = os.strerror(number) if number > 0 else "the name is unknown"  # a failed look-up
            raise Failure(
                f"Cannot listen on {host}:{candidate}: {why}. "
                "Choose with SAFELIGHT_HOST and SAFELIGHT_PORT."
            ) from None
    raise AssertionError("unreachable")


def address_of(listener: socket.socket) -> str:
    """Return the address at which this machine reaches `listener`."""
    name: tuple[str, int] = listener.getsockname()[:2]
    return configured.address_of(*name)


@asynccontextmanager
async def hosted(
    settings: Settings, listener: socket.socket | None, *, roles: frozenset[ProcessRole] = ALL_ROLES
) -> AsyncGenerator[Safelight]:
    """Yield a Safelight that does what its roles say until the context ends, then stops gracefully.

    It answers at `listener`: the whole API, or without that role its health and metrics.
    """
    try:
        async with open_safelight(settings, roles) as whole, _rare_collections():
            server = _QuietServer(whole) if listener else None
            failure: Exception | None = None
            async with asyncio.TaskGroup() as group:
                parts = [group.create_task(whole.work())]
                if server and listener:
                    parts.append(group.create_task(server.serve(sockets=[listener])))
                try:
                    if server:
                        await server.ready.wait()
                    yield whole
                except Exception as error:  # noqa: BLE001  raised below: a group would wrap it
                    failure = error
                finally:
                    whole.stop()
                    if server:
                        server.should_exit = True
                    await asyncio.wait(parts)
            if failure:
                raise failure
    finally:
        # The object store's threads need a loop a moment longer than its last answer.
        await asyncio.sleep(0.05)


async def local_owner(whole: Safelight, note: Callable[[str], None]) -> Owner:
    """Return the first account, with a key kept in the data directory and made if need be.

    A kept key that this database does not know is replaced, with a note. One of a suspended account
    is kept: an operator of another account can resume that.
    """
    access, folder = whole.services.access, whole.settings.data_dir
    account = await whole.services.accounts.ensure_first("local")
    key = datadir.local_key(folder)
    try:
        await access.authenticator.authenticate(key)
    except AccountSuspended as error:
        note(f"The account of the API key in {folder} is suspended: {error.detail}")
    except Unauthenticated:
        if key:
            note(f"The API key in {folder} is of another database, or was revoked: it is replaced.")
        name = "this machine's command line"
        issued = await access.keys.create(account.id, name, scopes=OWNER_SCOPES)
        key = issued.secret
        datadir.keep_local_key(folder, key)
    return Owner(account.id, key)


def server_config(whole: Safelight) -> Config:
    """Return the web server's configuration, in every role."""
    return Config(
        whole.asgi,
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_CLOSING_S,
    )


@asynccontextmanager
async def _rare_collections() -> AsyncGenerator[None]:
    """Exempt all that is loaded from garbage collection, and look for cycles less often.

    A job makes hundreds of objects that reference counts free, and many jobs are in flight
    together: with Python's defaults, half of a job's CPU time was the search for cycles.
    """
    usual = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


class _QuietServer(Server):
    """uvicorn, without its hold on signals and its log, that says when it is ready."""

    def __init__(self, whole: Safelight) -> None:
        super().__init__(server_config(whole))
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()
