"""Commands about API keys."""

from typing import Annotated

import typer

from safelight.cli.commands import lazy
from safelight.cli.commands.base import app, keys, run
from safelight.cli.commands.options import Json

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Its id, as `keys list` shows it.")]


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Where the key is used.")],
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="A permission such as `jobs:write` or `assets:*`, repeatable; default: jobs, "
            "assets, webhooks and usage."
        ),
    ] = None,
    expires_days: Annotated[
        float | None, typer.Option(min=0.001, help="Lifetime in days; default: unlimited.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Requests per second; default: unlimited.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create an API key and print it, once."""
    manner = lazy.actions().Manner(as_json)
    run(lazy.keys().create(name, scope or [], manner, expires_days=expires_days, rate_per_s=rate))


@keys.command("list")
def list_keys(as_json: Json = False) -> None:
    """List the account's API keys with their last use."""
    run(lazy.keys().show_all(lazy.actions().Manner(as_json)))


@keys.command("rotate")
def rotate_key(
    key_id: KeyId,
    *,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=720, help="How long the old key stays valid.")
    ] = 24,
    as_json: Json = False,
) -> None:
    """Replace an API key by a new one with the same rights."""
    run(lazy.keys().rotate(key_id, lazy.actions().Manner(as_json), overlap_hours=overlap_hours))


@keys.command("revoke")
def revoke_key(key_id: KeyId) -> None:
    """Revoke an API key and the browser sessions that it opened, at once."""
    run(lazy.keys().revoke(key_id))


@app.command()
def whoami(as_json: Json = False) -> None:
    """Show the server, the account and the scopes of the key in use."""
    run(lazy.keys().whoami(lazy.actions().Manner(as_json)))
