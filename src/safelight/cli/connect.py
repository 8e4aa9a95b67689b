"""Finds a server for a command: the one named, the one that runs here, or one of its own."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from safelight import datadir
from safelight.cli.client import Client
from safelight.cli.environment import is_set
from safelight.cli.failure import BadUse, Refused, Unreachable
from safelight.cli.profiles.applied import applied
from safelight.datadir import DataDirectoryInUse
from safelight.settings import Settings

_LOOK_EVERY_S = 0.1
_RACES = 20
_CLAIM_WAIT_S = 120.0
_PATIENCE_S = 3.0  # before saying what is waited for


@dataclass(frozen=True, slots=True)
class Link:
    """A way to a server.

    One that `is_own` lives in this process and ends with it; `objects` is then the folder of its
    files, if they are in one.
    """

    client: Client
    is_own: bool = False
    objects: Path | None = None


@asynccontextmanager
async def connected(
    settings: Settings, *, works: bool, note: Callable[[str], None]
) -> AsyncGenerator[Link]:
    """Yield a link to a server; one started for this command runs jobs only if it `works`."""
    settings = applied(settings)
    async with AsyncExitStack() as stack:
        for _ in range(_RACES):
            found = _named(settings) or await _running(settings, note)
            if found:
                with _explaining_keys(settings, found[1]):
                    yield Link(await stack.enter_async_context(Client(*found)))
                return
            try:
                link = await stack.enter_async_context(_own(settings, works=works, note=note))
            except DataDirectoryInUse:
                continue  # another command was quicker: it is waited for, or is a server
            yield link
            return
    raise Unreachable(f"Other commands keep using {settings.data_dir}.")


@contextmanager
def _explaining_keys(settings: Settings, key: str) -> Generator[None]:
    """Say what to do where the server does not know the key of the data directory."""
    try:
        yield
    except Refused as refused:
        if refused.status != HTTPStatus.UNAUTHORIZED:
            raise
        if key != datadir.local_key(settings.data_dir):
            raise BadUse(f"{refused} Use another: `safelight login URL` stores one.") from None
        raise BadUse(
            f"The server does not know the API key in {settings.data_dir}: it was made for another "
            "database, or revoked. Restart the server, which replaces it."
        ) from None


def has_server(settings: Settings) -> bool:
    """Say whether a server would be there without this command."""
    return bool(applied(settings).url) or datadir.is_claimed(settings.data_dir)


def _named(settings: Settings) -> tuple[str, str] | None:
    if not settings.url:
        return None
    key = settings.api_key.get_secret_value()
    here = datadir.running_server(settings.data_dir)
    if not key and here and here.url == settings.url.rstrip("/"):
        key = datadir.local_key(settings.data_dir)
    if not key:
        raise BadUse("SAFELIGHT_URL names a server; give its key with SAFELIGHT_API_KEY.")
    return settings.url, key


async def _running(settings: Settings, note: Callable[[str], None]) -> tuple[str, str] | None:
    """Return the server of the data directory, once the process that locks it has announced one."""
    began = time.monotonic()
    told = False
    while datadir.is_claimed(settings.data_dir):
        server = datadir.running_server(settings.data_dir)
        if server:
            chosen = settings.api_key.get_secret_value()
            return server.url, chosen or datadir.local_key(settings.data_dir)
        waited = time.monotonic() - began
        if waited > _CLAIM_WAIT_S:
            raise Unreachable(
                f"Another command has used {settings.data_dir} for {_CLAIM_WAIT_S:.0f} s. "
                "`safelight serve` does many jobs at once."
            )
        if waited > _PATIENCE_S and not told:
            told = True
            note(f"Another command uses {settings.data_dir}; waiting for it.")
        await asyncio.sleep(_LOOK_EVERY_S)
    return None


@asynccontextmanager
async def _own(
    settings: Settings, *, works: bool, note: Callable[[str], None]
) -> AsyncGenerator[Link]:
    # Everything of a server, which takes most of a second to import: only where one is started.
    from safelight import telemetry  # noqa: PLC0415
    from safelight.app import ALL_ROLES, ProcessRole  # noqa: PLC0415
    from safelight.cli.hosting import host  # noqa: PLC0415

    quiet = settings.log_level if is_set(settings, "log_level") else "error"
    telemetry.configure_logs(quiet, settings.log_format)
    # Work that others left behind is handed back at once when this command's own is done.
    alone = settings.model_copy(update={"grace_s": 0.0})
    roles = ALL_ROLES if works else frozenset({ProcessRole.API})
    with host.listen("127.0.0.1", 0, exactly=True) as listener:
        async with host.hosted(alone, listener, roles=roles) as whole:
            owner = await host.local_owner(whole, note)
            async with Client(host.address_of(listener), owner.key) as client:
                yield Link(client, is_own=True, objects=settings.objects)
