"""Signs the command line in to servers and out, and lists them."""

import getpass
import re
import sys
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from safelight.accounts.account import MAX_KEY_LENGTH, Credential
from safelight.cli.client import Client
from safelight.cli.environment import read_settings
from safelight.cli.failure import BadUse
from safelight.cli.listing import print_table
from safelight.cli.profiles import kept
from safelight.cli.profiles.kept import LOCAL, Profile
from safelight.cli.show import Screen
from safelight.settings.checked import HttpUrl

_NAME = re.compile(r"[A-Za-z0-9._:\[\]-]{1,80}")
_KEY = re.compile(rf"{Credential.KEY.value}[A-Za-z0-9]{{1,{MAX_KEY_LENGTH}}}")
_HERE = ("127.0.0.1", "localhost", "::1")


async def login(url: str, name: str) -> None:
    """Store a key for a server, once the server has accepted it, under a name or the host's."""
    folder = read_settings().config_dir
    screen = Screen()
    server = _server(url)
    name = name or urlsplit(server).netloc
    if name == LOCAL or not _NAME.fullmatch(name):
        raise BadUse(f"{name!r} cannot name a profile: use letters, digits and `.`, not `{LOCAL}`.")
    if urlsplit(server).scheme == "http" and urlsplit(server).hostname not in _HERE:
        screen.note(f"Your key goes to {server} without encryption: prefer https.")
    key = _read_key(server)
    async with Client(server, key) as client:
        account = await client.account()
    with kept.changing(folder):
        kept.write(folder, kept.read(folder).with_one(name, Profile(server, key)))
    screen.result(f"Signed in to {account['name']} ({account['id']}) at {server}; profile {name}")


async def logout(name: str) -> None:
    """Forget a profile, the current one if none is named; its key stays valid."""
    folder = read_settings().config_dir
    screen = Screen()
    with kept.changing(folder):
        profiles = kept.read(folder)
        name = name or profiles.current
        if not name:
            raise BadUse("You are not signed in: `safelight profiles` lists where you could be.")
        kept.write(folder, profiles.without(name))
    screen.result(f"Profile {name} is forgotten")
    screen.note("Its key stays valid until it is revoked: `safelight keys revoke`.")


async def show_all(*, as_json: bool) -> None:
    """List the profiles, without their keys."""
    profiles = kept.read(read_settings().config_dir)
    screen = Screen()
    rows = [
        {"name": name, "url": each.url, "current": name == profiles.current}
        for name, each in profiles.by_name.items()
    ]
    if as_json:
        screen.document(rows)
        return
    if not rows:
        screen.note("There are no profiles yet. `safelight login URL` makes one.")
    table = [("*" if row["current"] else "", str(row["name"]), str(row["url"])) for row in rows]
    print_table(screen, ("", "profile", "server"), table)


async def use(name: str) -> None:
    """Make a profile the current one; `local` is this machine's own server."""
    folder = read_settings().config_dir
    with kept.changing(folder):
        profiles = kept.read(folder)
        if name != LOCAL:
            profiles.get(name)
        kept.write(folder, kept.Profiles(profiles.by_name, "" if name == LOCAL else name))
    Screen().result(f"Commands go to {name}")


def _server(url: str) -> str:
    try:
        return TypeAdapter[str](HttpUrl).validate_python(url).rstrip("/")
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise BadUse(f"{url} is no server: {reason.removeprefix('Value error, ')}.") from None


def _read_key(server: str) -> str:
    """Return the key that a person types unseen, or the first line of standard input."""
    if sys.stdin.isatty():
        key = getpass.getpass(f"API key for {server}: ")
    else:
        key = sys.stdin.readline(MAX_KEY_LENGTH + 2)
    key = key.strip()
    if not _KEY.fullmatch(key):
        raise BadUse(f"That is no API key: one begins with `{Credential.KEY.value}`.")
    return key
