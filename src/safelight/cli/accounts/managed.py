"""Creates, lists, limits, suspends, resumes and deletes the accounts of a server."""

import sys
from collections.abc import Sequence

import typer

from safelight.cli.actions import Manner, ask
from safelight.cli.connect import connected
from safelight.cli.environment import read_settings
from safelight.cli.failure import BadUse, Interrupted
from safelight.cli.listing import age, print_table
from safelight.cli.show import Screen
from safelight.documents import ManagedAccount, OpenedAccount

_DEFAULT = "default"


async def create(name: str, max_in_flight: int | None, manner: Manner) -> None:
    """Create an account, and print the secret of its first key."""

    def show(screen: Screen, made: OpenedAccount) -> None:
        account = made["account"]
        screen.note(f"{account['id']} is open. Its key is shown only now:")
        screen.result(made["key"]["key"])

    wanted = {"name": name, "max_in_flight": max_in_flight}
    await ask(manner, lambda client: client.create_account(wanted), show)


async def show_all(limit: int, manner: Manner) -> None:
    """List accounts, newest first."""

    def table(screen: Screen, found: Sequence[ManagedAccount]) -> None:
        heads = ("id", "name", "state", "jobs at once", "age")
        print_table(screen, heads, [_row(each) for each in found])

    await ask(manner, lambda client: client.accounts(limit=limit), table)


async def show(account_id: str, manner: Manner) -> None:
    """Show one account."""
    await ask(manner, lambda client: client.managed_account(account_id), _show)


async def suspend(account_id: str, reason: str, manner: Manner) -> None:
    """Suspend an account."""
    await ask(manner, lambda client: client.suspend_account(account_id, reason), _show)


async def resume(account_id: str, manner: Manner) -> None:
    """Resume an account."""
    await ask(manner, lambda client: client.resume_account(account_id), _show)


async def limit(account_id: str, text: str, manner: Manner) -> None:
    """Set how many jobs of an account run at once; `default` is the settings' limit."""
    if text != _DEFAULT and not (text.isascii() and text.isdigit()):
        raise BadUse(f"{text!r} is no limit: give a whole number, or `{_DEFAULT}`.")
    most = None if text == _DEFAULT else int(text)
    await ask(manner, lambda client: client.limit_account(account_id, most), _show)


async def delete(account_id: str, *, is_sure: bool) -> None:
    """Delete an account; a person at a terminal is asked first, others must be sure."""
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        account = await link.client.managed_account(account_id)
        if not is_sure:
            _confirm(account)
        await link.client.delete_account(account_id)
    screen.result(f"{account_id} is deleted; its files go within the day")


def _confirm(account: ManagedAccount) -> None:
    what = f"{account['id']} ({account['name']}) with all its jobs and files"
    if not sys.stdin.isatty():
        raise BadUse(f"This deletes {what}: say --yes.")
    if not typer.confirm(f"Delete {what}, for good?", err=True):
        raise Interrupted("Nothing was deleted.")


def _show(screen: Screen, account: ManagedAccount) -> None:
    most = account["max_in_flight"]
    facts = [
        ("account", account["id"]),
        ("name", account["name"]),
        ("state", _state(account)),
        ("jobs at once", _DEFAULT if most is None else str(most)),
        ("legal hold", account["hold"] or "no"),
        ("created", str(account["created_at"])),
    ]
    print_table(screen, ("", ""), facts)


def _row(account: ManagedAccount) -> tuple[str, ...]:
    most = account["max_in_flight"]
    return (
        account["id"],
        account["name"],
        _state(account),
        _DEFAULT if most is None else str(most),
        age(account["created_at"]),
    )


def _state(account: ManagedAccount) -> str:
    held = ", held" if account["hold"] else ""
    if account["suspended_at"] is None:
        return f"open{held}"
    return f"suspended: {account['suspended_for']}{held}"
