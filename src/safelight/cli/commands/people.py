"""Commands about people: the users of the installation, the members of the account."""

from typing import Annotated

import typer

from safelight.cli.commands import lazy
from safelight.cli.commands.base import members, run, users
from safelight.cli.commands.options import Json

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The e-mail address.")]
Role = Annotated[str, typer.Option(metavar="ROLE", help="viewer, member or admin.")]


@users.command("create")
def create_user(
    email: Email,
    *,
    operator: Annotated[
        bool, typer.Option("--operator", help="May do everything in the installation.")
    ] = False,
    account: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="The first account; default: the key's.")
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            help="viewer, member or admin; default: member, of an operator admin.",
        ),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create a user, and print the link to choose a password, unless one is given."""
    manner = lazy.actions().Manner(as_json)
    wanted = {"email": email, "operator": operator, "account_id": account, "role": role}
    run(lazy.people().create(wanted, manner, reads_password=password_stdin))


@users.command("list")
def list_users(as_json: Json = False) -> None:
    """List the users with their accounts."""
    run(lazy.people().show_users(lazy.actions().Manner(as_json)))


@users.command("disable")
def disable_user(email: Email) -> None:
    """Disable a user: all sessions end, nobody signs in."""
    run(lazy.people().change(email, {"enabled": False}, "is disabled"))


@users.command("enable")
def enable_user(email: Email) -> None:
    """Enable a disabled user."""
    run(lazy.people().change(email, {"enabled": True}, "is enabled"))


@users.command("operator")
def make_operator(
    email: Email,
    *,
    no: Annotated[bool, typer.Option("--no", help="Make the user none any more.")] = False,
) -> None:
    """Make a user an operator of the installation, or none any more."""
    said = "is no operator any more" if no else "is an operator"
    run(lazy.people().change(email, {"operator": not no}, said))


@users.command("reset-password")
def reset_password(email: Email) -> None:
    """Print a link with which the user chooses a new password, within an hour."""
    run(lazy.people().print_reset_link(email))


@members.command("list")
def list_members(as_json: Json = False) -> None:
    """List the members of the account with their roles."""
    run(lazy.people().show_members(lazy.actions().Manner(as_json)))


@members.command("role")
def change_role(
    email: Email, role: Annotated[str, typer.Argument(help="viewer, member or admin.")]
) -> None:
    """Give a member another role."""
    run(lazy.people().change_role(email, role))


@members.command("remove")
def remove_member(email: Email) -> None:
    """Remove a member from the account."""
    run(lazy.people().remove(email))


@members.command("invite")
def invite(email: Email, *, role: Role = "member", as_json: Json = False) -> None:
    """Invite somebody by mail; where none is sent, print the link."""
    run(lazy.people().invite(email, role, lazy.actions().Manner(as_json)))


@members.command("invitations")
def list_invitations(as_json: Json = False) -> None:
    """List the invitations of the account."""
    run(lazy.people().show_invitations(lazy.actions().Manner(as_json)))


@members.command("revoke")
def revoke_invitation(
    invitation: Annotated[str, typer.Argument(metavar="INVITATION", help="Its id.")],
) -> None:
    """Revoke an invitation."""
    run(lazy.people().revoke(invitation))
