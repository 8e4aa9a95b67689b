"""Commands that describe this installation."""

import typer

from safelight.cli.commands import lazy
from safelight.cli.commands.base import app, installed_version, run
from safelight.cli.commands.options import Json


@app.command()
def models(as_json: Json = False) -> None:
    """List the models."""
    run(lazy.actions().show_models(lazy.actions().Manner(as_json)))


@app.command()
def login() -> None:
    """Print a link that signs a browser in to the web page, once."""
    run(lazy.operations().print_login_link())


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(installed_version())
