"""Refuses to listen where others can connect before anybody can sign in."""

from safelight.app import open_offline
from safelight.cli.failure import BadUse
from safelight.datadir import NoInstallation
from safelight.identity import store
from safelight.settings import Settings
from safelight.web.hosts import is_loopback

_REMEDIES = (
    "`safelight users create EMAIL --operator --password-stdin` makes a user with a password",
    "SAFELIGHT_LOGIN=keys lets only API keys and login links in",
    "SAFELIGHT_HOST=127.0.0.1 lets only this machine connect",
)


async def check_exposure(settings: Settings) -> None:
    """Raise `BadUse` unless only this machine can connect, or the way in has been decided."""
    if is_loopback(settings.host) or settings.login == "keys" or await _has_password(settings):
        return
    raise BadUse(
        f"Others could connect to {settings.host or 'all addresses'}, but nobody has a password. "
        f"Choose: {'; '.join(_REMEDIES)}."
    )


async def _has_password(settings: Settings) -> bool:
    try:
        async with open_offline(settings) as kept:
            return await kept.database.read(store.has_password)
    except NoInstallation:
        return False
