"""Secret settings from files: `SAFELIGHT_…_FILE` names the file that has the value."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from safelight.json_object import JsonObject

_MAX_BYTES = 64 * 1024


def is_secret(field: FieldInfo) -> bool:
    """Return whether a setting is a secret, or a URL that may contain a password."""
    return field.annotation is SecretStr or not field.repr


def secret_names(fields: Mapping[str, FieldInfo]) -> list[str]:
    """Return the names of the settings that a file may give, without the ending `_file`."""
    return [name for name, field in fields.items() if is_secret(field)]


def with_secret_files(
    given: Mapping[str, Any], names: list[str], variables: Mapping[str, str]
) -> JsonObject:
    """Return the settings with those of `names` that `variables` give as files.

    Raises `ValueError` with the variable's name, and nothing of the file's content.
    """
    paths = {name.upper(): path for name, path in variables.items()}
    read = dict(given)
    for name in names:
        variable = f"SAFELIGHT_{name.upper()}_FILE"
        path = paths.get(variable)
        if not path:
            continue
        if given.get(name):
            raise ValueError(f"{variable}: SAFELIGHT_{name.upper()} is set too; unset one of them")
        read[name] = _content(variable, Path(path))
    return read


def _content(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{variable}: {path} cannot be read: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{variable}: {path} has more than {_MAX_BYTES} bytes")
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{variable}: {path} is not UTF-8 text") from None
    if not text or not text.isprintable():
        reason = "is empty" if not text else "has more than one line, or control characters"
        raise ValueError(f"{variable}: {path} {reason}")
    return text
