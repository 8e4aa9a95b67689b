"""Creates, lists, rotates and revokes API keys, and shows whose key is in use."""

from collections.abc import Sequence

from safelight.cli.actions import Manner
from safelight.cli.connect import connected
from safelight.cli.environment import read_settings
from safelight.cli.listing import age, print_table
from safelight.cli.show import Screen
from safelight.documents import Key, KeyWithSecret

_DAY_S = 86_400
_HOUR_S = 3_600


async def create(
    name: str,
    scopes: Sequence[str],
    manner: Manner,
    *,
    expires_days: float | None,
    rate_per_s: float | None,
) -> None:
    """Create an API key, and print its secret."""
    body = {
        "name": name,
        **({"scopes": list(scopes)} if scopes else {}),
        "expires_in_s": None if expires_days is None else expires_days * _DAY_S,
        "rate_per_s": rate_per_s,
    }
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        made = await link.client.create_key(body)
    _print_secret(screen, made, manner)


async def show_all(manner: Manner) -> None:
    """List the account's API keys, newest first."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        found = await link.client.keys()
    if manner.as_json:
        screen.document(found)
        return
    heads = ("id", "name", "key", "state", "last used", "scopes")
    print_table(screen, heads, [_row(each) for each in found])


async def rotate(key_id: str, manner: Manner, *, overlap_hours: float) -> None:
    """Replace an API key, and print the new secret."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        made = await link.client.rotate_key(key_id, overlap_hours * _HOUR_S)
    screen.note(f"{key_id} stays valid for {overlap_hours:g} h.")
    _print_secret(screen, made, manner)


async def revoke(key_id: str) -> None:
    """Revoke an API key."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        await link.client.revoke_key(key_id)
    screen.result(f"{key_id} is revoked")


async def whoami(manner: Manner) -> None:
    """Show the server, the account and the scopes of the key in use."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        account = await link.client.account()
        url = link.client.url
    if manner.as_json:
        screen.document({"url": url, **account})
        return
    screen.result(f"{account['name']} ({account['id']}) at {url}")
    screen.result(f"scopes: {' '.join(account['scopes'])}")


def _print_secret(screen: Screen, made: KeyWithSecret, manner: Manner) -> None:
    if manner.as_json:
        screen.document(made)
        return
    screen.note(f"{made['id']} may use {' '.join(made['scopes'])}. The key is shown only now:")
    screen.result(made["key"])


def _row(key: Key) -> tuple[str, ...]:
    used = key["last_used_at"]
    return (
        key["id"],
        key["name"],
        key["hint"],
        _state(key),
        age(used) if used else "never",
        " ".join(key["scopes"]),
    )


def _state(key: Key) -> str:
    if key["revoked_at"]:
        return "revoked"
    return f"until {str(key['expires_at'])[:16]}" if key["expires_at"] else "valid"
