"""Reads and writes the file of profiles: this user's alone, and replaced as a whole."""

import fcntl
import stat
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safelight import datadir
from safelight.cli.failure import BadUse, Failure

LOCAL = "local"
"""The name for this machine's own server, which has no profile."""

_FILE = "profiles.json"
_LOCK = "profiles.lock"


@dataclass(frozen=True, slots=True)
class Profile:
    """A server, and the API key for it."""

    url: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Profiles:
    """All profiles by name, and the one that commands use if none is named; empty: none."""

    by_name: Mapping[str, Profile] = field(default_factory=dict[str, Profile])
    current: str = ""

    def get(self, name: str) -> Profile:
        """Return a profile; raise `BadUse` if there is none of that name."""
        if name not in self.by_name:
            known = ", ".join(self.by_name) or "none yet"
            raise BadUse(
                f"There is no profile {name!r} (known: {known}). `safelight login URL` makes one."
            )
        return self.by_name[name]

    def with_one(self, name: str, profile: Profile) -> Self:
        """Return the profiles with one more, which is the current one."""
        return replace(self, by_name={**self.by_name, name: profile}, current=name)

    def without(self, name: str) -> Self:
        """Return the profiles without one; raise `BadUse`."""
        self.get(name)
        rest = {each: profile for each, profile in self.by_name.items() if each != name}
        return replace(self, by_name=rest, current="" if self.current == name else self.current)


class _Entry(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    url: str
    key: str = Field(repr=False)


class _Document(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    current: str = ""
    profiles: dict[str, _Entry] = {}


def read(folder: Path) -> Profiles:
    """Return the profiles in `folder`; raise `BadUse` if others may read them, or for a mistake."""
    path = folder / _FILE
    try:
        with path.open() as file:
            others = stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
            text = file.read()
    except FileNotFoundError:
        return Profiles()
    except (OSError, UnicodeDecodeError) as error:
        raise BadUse(f"{path} cannot be read: {error}.") from None
    if others:
        raise BadUse(f"Others on this machine may use the keys in {path}: run chmod 600 {path}.")
    try:
        found = _Document.model_validate_json(text)
    except ValidationError:
        raise BadUse(f"{path} is damaged: remove it, then run `safelight login URL`.") from None
    entries = {name: Profile(each.url, each.key) for name, each in found.profiles.items()}
    return Profiles(entries, found.current)


@contextmanager
def changing(folder: Path) -> Generator[None]:
    """Let no other command change the profiles meanwhile; the folder is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        lock = (folder / _LOCK).open("a")
    except OSError as error:
        raise Failure(f"{folder} cannot be written: {error.strerror}.") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write(folder: Path, profiles: Profiles) -> None:
    """Replace the file by one that only this user may read."""
    entries = {name: {"url": each.url, "key": each.key} for name, each in profiles.by_name.items()}
    document = {"current": profiles.current, "profiles": entries}
    datadir.write_private(folder / _FILE, document)
