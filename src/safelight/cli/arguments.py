"""Turns what was typed into what the API takes; what cannot be is refused before work begins."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from safelight.cli.failure import BadUse
from safelight.json_object import JsonObject

MAX_FILES = 25
MAX_URLS = 1000
_MAX_LIST_BYTES = 1 << 22
_EITHER = ("size", "aspect_ratio")


def is_url(text: str) -> bool:
    """Say whether `text` is a web address rather than a file."""
    return text.lower().startswith(("http://", "https://"))


def read_params(pairs: Iterable[str]) -> JsonObject:
    """Return `k=v` pairs as params: a value that reads as JSON is that, any other is text."""
    params: JsonObject = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BadUse(f"--param takes NAME=VALUE, not {pair!r}.")
        if name in params:
            raise BadUse(f"--param {name} was given twice.")
        try:
            params[name] = json.loads(value, parse_constant=_refuse)
        except ValueError:
            params[name] = value
    return params


def check_agreeing(options: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    """Raise `BadUse` where one option would silently win over another."""
    if twice := sorted(options.keys() & params.keys()):
        raise BadUse(f"{twice[0]} was given twice: as an option and by --param.")
    if all(name in options or name in params for name in _EITHER):
        raise BadUse("Give either a size or an aspect ratio, not both.")


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def read_urls(words: Iterable[str]) -> list[str]:
    """Return the addresses among `words`, and those in the files that it names, line by line."""
    urls: list[str] = []
    for word in words:
        urls += [word] if is_url(word) else _listed(word)
    if not urls:
        raise BadUse("There is no address to import.")
    if len(urls) > MAX_URLS:
        raise BadUse(
            f"At most {MAX_URLS} addresses a call; {len(urls)} were given. "
            "A longer list is imported by itself, without --output."
        )
    return urls


def _listed(name: str) -> list[str]:
    if "://" in name:
        raise BadUse(f"{name} is not an http or https address.")
    with open_file(name) as file:
        text = file.read(_MAX_LIST_BYTES + 1)
    if len(text) > _MAX_LIST_BYTES or b"\x00" in text:
        raise BadUse(f"{name} is not a list of addresses.")
    lines = [line.strip() for line in text.decode(errors="replace").splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    for line in found:
        if not is_url(line):
            raise BadUse(f"{name} holds {line[:80]!r}, which is not an http or https address.")
    return found


def check_pictures(names: Sequence[str]) -> None:
    """Refuse more files than one call takes."""
    if len(names) > MAX_FILES:
        raise BadUse(f"At most {MAX_FILES} pictures a call; {len(names)} were given.")


def open_file(name: str) -> BinaryIO:
    """Open the file that the user named, to be read."""
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise BadUse(f"{name} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise BadUse(f"{name!r} is not a file name.") from None
