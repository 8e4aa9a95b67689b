"""Commands about accounts: those of the server, and those of the installation on this machine."""

from typing import Annotated

import typer

from safelight.cli.commands import lazy
from safelight.cli.commands.base import account, accounts, run
from safelight.cli.commands.options import Json


@account.command("list")
def list_accounts(as_json: Json = False) -> None:
    """List accounts and their storage."""
    run(lazy.account().show_accounts(as_json=as_json))


@account.command("export")
def export_account(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its id.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="The file, `-` for standard output; default: ACCOUNT.tar."
        ),
    ] = None,
) -> None:
    """Write an account into one TAR: finished jobs and files, without keys or secrets."""
    run(lazy.backup().write_backup(output, account_id))


@account.command("import")
def import_account(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Written by `account export`.")],
) -> None:
    """Import an exported account, and print a new key for it."""
    run(lazy.account().import_account(file))


AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its id.")]


@accounts.command("create")
def create_account(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is.")],
    *,
    max_in_flight: Annotated[
        int | None, typer.Option(min=0, help="Concurrent jobs; default: the settings'.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create an account, and print its first key, once."""
    run(lazy.accounts().create(name, max_in_flight, lazy.actions().Manner(as_json)))


@accounts.command("list")
def list_managed_accounts(
    *,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number.")] = 50,
    as_json: Json = False,
) -> None:
    """List the server's accounts, newest first."""
    run(lazy.accounts().show_all(limit, lazy.actions().Manner(as_json)))


@accounts.command("show")
def show_account(account_id: AccountId, as_json: Json = False) -> None:
    """Show one account."""
    run(lazy.accounts().show(account_id, lazy.actions().Manner(as_json)))


@accounts.command("suspend")
def suspend_account(
    account_id: AccountId,
    *,
    reason: Annotated[str, typer.Option(help="What the account's callers read.")],
    as_json: Json = False,
) -> None:
    """Refuse an account's credentials; its running jobs end, queued ones wait."""
    run(lazy.accounts().suspend(account_id, reason, lazy.actions().Manner(as_json)))


@accounts.command("resume")
def resume_account(account_id: AccountId, as_json: Json = False) -> None:
    """Resume a suspended account."""
    run(lazy.accounts().resume(account_id, lazy.actions().Manner(as_json)))


@accounts.command("limit")
def limit_account(
    account_id: AccountId,
    max_in_flight: Annotated[
        str, typer.Argument(metavar="N", help="Concurrent jobs; `default`: the settings'.")
    ],
    as_json: Json = False,
) -> None:
    """Limit how many jobs of an account run at once."""
    run(lazy.accounts().limit(account_id, max_in_flight, lazy.actions().Manner(as_json)))


@accounts.command("delete")
def delete_account(
    account_id: AccountId,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an account with its jobs and files, for good."""
    run(lazy.accounts().delete(account_id, is_sure=yes))
