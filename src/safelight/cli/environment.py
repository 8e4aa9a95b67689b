"""Reads the settings for a command, with one clear line where they are wrong."""

from pydantic import ValidationError

from safelight.cli.failure import BadUse
from safelight.settings import Settings


def read_settings() -> Settings:
    """Return the settings of the environment and `.env`."""
    try:
        return Settings()
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        wrong = [_say(item["loc"], item["msg"]) for item in found]
        raise BadUse("; ".join(wrong)) from None


def is_set(settings: Settings, name: str) -> bool:
    """Say whether somebody chose the setting, rather than left it at its default."""
    return name in settings.model_fields_set


def _say(place: tuple[int | str, ...], message: str) -> str:
    text = message.removeprefix("Value error, ")
    return f"SAFELIGHT_{str(place[0]).upper()}: {text}" if place else text
