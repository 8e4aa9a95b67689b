"""Reads the settings for a command, with one clear line where they are wrong."""

from pathlib import Path

from pydantic import ValidationError

from safelight.cli.failure import BadUse
from safelight.settings import Settings, environment, known_names
from safelight.settings.names import unknown_names


def read_settings() -> Settings:
    """Return the settings of the environment and `.env`; raise `BadUse` for any mistake in them."""
    try:
        unknown = unknown_names(environment(), known_names())
        if unknown:
            raise BadUse("; ".join(unknown))
        return Settings()
    except UnicodeDecodeError:
        raise BadUse(
            f"{Path('.env').absolute()} is not UTF-8 text: save it as UTF-8, or start in another "
            "folder if it belongs to another program."
        ) from None
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
