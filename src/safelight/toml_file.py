"""Reads a TOML file of settings, with secrets from the environment."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from safelight.json_object import JsonObject

_MAX_BYTES = 4 * 2**20
_NAMED = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def read_toml(path: Path, environment: Mapping[str, str]) -> JsonObject:
    """Parse the file; `${NAME}` in a string is replaced by a variable of `environment`.

    Raises `ValueError` with the place of the mistake, and no value of the environment.
    """
    try:
        text = path.read_bytes()[: _MAX_BYTES + 1]
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}.") from None
    if len(text) > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES} bytes.")
    try:
        document = tomllib.loads(text.decode())
    except ValueError as error:
        raise ValueError(f"it is not valid TOML: {error}") from None
    return _filled(document, environment)


def _filled(value: Any, environment: Mapping[str, str], place: str = "") -> Any:
    if isinstance(value, dict):
        table = cast("JsonObject", value)
        return {
            key: _filled(one, environment, f"{place}.{key}" if place else key)
            for key, one in table.items()
        }
    if isinstance(value, list):
        entries = enumerate(cast("list[Any]", value))
        return [_filled(one, environment, f"{place}.{index}") for index, one in entries]
    if not isinstance(value, str):
        return value

    def named(found: re.Match[str]) -> str:
        if found[1] not in environment:
            raise ValueError(f"{place}: ${{{found[1]}}} is not set in the environment.")
        return environment[found[1]]

    return _NAMED.sub(named, value)
