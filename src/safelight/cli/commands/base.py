"""The command groups, and how a command runs."""

from collections.abc import Coroutine
from typing import Annotated

import typer

from safelight.cli.profiles import chosen

app = typer.Typer(
    epilog="Exit codes: 0 done, 1 failed, 2 cannot be done as typed, 3 no server answers, "
    "130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def installed_version() -> str:
    """Return the version of this installation."""
    from importlib.metadata import version  # noqa: PLC0415  30 ms

    return version("safelight")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(installed_version())
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
    profile: Annotated[
        str,
        typer.Option(metavar="NAME", help="The server to use, as `profiles` lists them."),
    ] = "",
) -> None:
    """Asynchronous media jobs: text to image, import by URL, image to 3D."""
    chosen.PROFILE.set(profile)


storage = typer.Typer(help="Inspect and repair stored files.", no_args_is_help=True)
app.add_typer(storage, name="storage")
account = typer.Typer(
    help="Export and import accounts of the installation on this machine.", no_args_is_help=True
)
app.add_typer(account, name="account")
accounts = typer.Typer(
    help="Open, suspend and delete accounts of the server; for operators.", no_args_is_help=True
)
app.add_typer(accounts, name="accounts")
keys = typer.Typer(help="Create, list, rotate and revoke API keys.", no_args_is_help=True)
app.add_typer(keys, name="keys")
secrets = typer.Typer(help="Encrypt the secrets in the database.", no_args_is_help=True)
app.add_typer(secrets, name="secrets")
users = typer.Typer(
    help="Create, list and disable the users of the installation.", no_args_is_help=True
)
app.add_typer(users, name="users")
members = typer.Typer(
    help="Invite, list and change the members of the account.", no_args_is_help=True
)
app.add_typer(members, name="members")
backup = typer.Typer(help="Back up the installation, or verify a backup.")
app.add_typer(backup, name="backup")


def run(work: Coroutine[None, None, None]) -> None:
    """Run a command to its end, and exit with its code."""
    from safelight.cli.settle import settle  # noqa: PLC0415  `--help` answers at once

    raise typer.Exit(settle(work))
