"""Chooses the server of a command: one that the environment names, else that of a profile."""

from pydantic import SecretStr

from safelight.cli.environment import is_set
from safelight.cli.failure import BadUse
from safelight.cli.profiles import chosen, kept
from safelight.settings import Settings


def applied(settings: Settings) -> Settings:
    """Return the settings with the address and key of the profile to use, if there is one.

    A server or data folder that the environment names goes before a profile, but not silently
    before `--profile`. Raises `BadUse` where both name one, or for a profile that does not exist.
    """
    named = chosen.PROFILE.get()
    if settings.url:
        if named:
            raise BadUse("SAFELIGHT_URL and --profile both name a server: unset one.")
        return settings
    name = named or settings.profile
    if name == kept.LOCAL or (not name and _is_local(settings)):
        return settings
    profiles = kept.read(settings.config_dir)
    name = name or profiles.current
    if not name:
        return settings
    profile = profiles.get(name)
    return settings.model_copy(update={"url": profile.url, "api_key": SecretStr(profile.key)})


def _is_local(settings: Settings) -> bool:
    return is_set(settings, "data_dir") or is_set(settings, "api_key")
