"""Creates, lists and changes users and members, and invites people."""

import getpass
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from safelight.cli.actions import Manner
from safelight.cli.client import Client
from safelight.cli.connect import connected
from safelight.cli.environment import read_settings
from safelight.cli.failure import BadUse
from safelight.cli.listing import age, print_table
from safelight.cli.show import Screen
from safelight.documents import (
    Invitation,
    InvitationWithLink,
    Member,
    PasswordLink,
    User,
    UserWithLink,
)

_MOST = 1_000  # entries of a list
_LONGEST_PASSWORD = 4_096  # bytes that are read; the server says what fits


async def create(wanted: Mapping[str, Any], manner: Manner, *, reads_password: bool) -> None:
    """Create a user; print the link to choose a password, if none was read."""
    body = {**wanted, "password": _read_password() if reads_password else None}
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        made: UserWithLink = await link.client.call("POST", "/v1/admin/users", body)
    if manner.as_json:
        screen.document(made)
    elif made["url"]:
        screen.note(f"{made['email']} chooses a password here, once, within an hour:")
        screen.result(made["url"])
    else:
        screen.result(f"{made['email']} is a user ({made['id']})")


async def show_users(manner: Manner) -> None:
    """List the users, newest first."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        found: list[User] = await link.client.entries("/v1/admin/users", limit=_MOST)
    if manner.as_json:
        screen.document(found)
        return
    heads = ("id", "e-mail", "state", "two-step", "accounts")
    print_table(screen, heads, [_user_row(each) for each in found])


async def change(email: str, body: Mapping[str, bool], said: str) -> None:
    """Change a user."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        user = await _user(link.client, email)
        await link.client.call("PATCH", f"/v1/admin/users/{user['id']}", body)
    screen.result(f"{user['email']} {said}")


async def print_reset_link(email: str) -> None:
    """Print a link to choose a new password."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        user = await _user(link.client, email)
        path = f"/v1/admin/users/{user['id']}/reset-link"
        made: PasswordLink = await link.client.call("POST", path)
    screen.note(f"{user['email']} chooses a password here, once, within an hour:")
    screen.result(made["url"])


async def show_members(manner: Manner) -> None:
    """List the members of the account."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        found: list[Member] = await link.client.entries("/v1/members", limit=_MOST)
    if manner.as_json:
        screen.document(found)
        return
    rows = [
        (
            each["email"],
            each["role"],
            "disabled" if each["disabled_at"] else f"for {age(each['created_at'])}",
            each["user_id"],
        )
        for each in found
    ]
    print_table(screen, ("e-mail", "role", "member", "id"), rows)


async def change_role(email: str, role: str) -> None:
    """Give a member another role."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        member = await _member(link.client, email)
        await link.client.call("PATCH", f"/v1/members/{member['user_id']}", {"role": role})
    screen.result(f"{member['email']} is {role}")


async def remove(email: str) -> None:
    """Remove a member."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        member = await _member(link.client, email)
        await link.client.call("DELETE", f"/v1/members/{member['user_id']}")
    screen.result(f"{member['email']} is no member any more")


async def invite(email: str, role: str, manner: Manner) -> None:
    """Invite somebody to the account."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        body = {"email": email, "role": role}
        made: InvitationWithLink = await link.client.call("POST", "/v1/invitations", body)
    if manner.as_json:
        screen.document(made)
    elif made["url"]:
        screen.note(f"No mail is sent here. Hand this link to {made['email']}, within a week:")
        screen.result(made["url"])
    else:
        screen.result(f"{made['email']} is invited by mail ({made['id']})")


async def show_invitations(manner: Manner) -> None:
    """List the invitations of the account, newest first."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        found: list[Invitation] = await link.client.entries("/v1/invitations", limit=_MOST)
    if manner.as_json:
        screen.document(found)
        return
    rows = [(each["id"], each["email"], each["role"], _state(each)) for each in found]
    print_table(screen, ("id", "e-mail", "role", "state"), rows)


async def revoke(invitation_id: str) -> None:
    """Revoke an invitation."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        await link.client.call("DELETE", f"/v1/invitations/{quote(invitation_id, safe='')}")
    screen.result(f"{invitation_id} is revoked")


async def _user(client: Client, email: str) -> User:
    found: list[User] = await client.entries("/v1/admin/users", email=email, limit=1)
    if not found:
        raise BadUse(f"There is no user {email}: `safelight users list` shows all.")
    return found[0]


async def _member(client: Client, email: str) -> Member:
    found: list[Member] = await client.entries("/v1/members", limit=_MOST)
    for each in found:
        if each["email"].casefold() == email.casefold():
            return each
    raise BadUse(f"There is no member {email}: `safelight members list` shows all.")


def _read_password() -> str:
    """Return the password as typed, or one line of standard input without its end."""
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline(_LONGEST_PASSWORD).removesuffix("\n").removesuffix("\r")


def _user_row(user: User) -> tuple[str, ...]:
    state = "disabled" if user["disabled_at"] else "operator" if user["operator"] else "active"
    accounts = " ".join(f"{each['name']}:{each['role']}" for each in user["accounts"])
    return user["id"], user["email"], state, "on" if user["two_step"] else "off", accounts


def _state(invitation: Invitation) -> str:
    if invitation["accepted_at"]:
        return "accepted"
    if invitation["revoked_at"]:
        return "revoked"
    return f"until {str(invitation['expires_at'])[:16]}"
