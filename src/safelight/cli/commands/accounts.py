"""Commands about accounts."""

from typing import Annotated

import typer

from safelight.cli.commands import lazy
from safelight.cli.commands.base import account, run
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
