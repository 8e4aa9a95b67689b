"""Commands about this installation, and about the servers that one is signed in to."""

from typing import Annotated

import typer

from safelight.cli.commands import lazy
from safelight.cli.commands.base import app, installed_version, run
from safelight.cli.commands.options import Json


@app.command()
def models(as_json: Json = False) -> None:
    """List the models."""
    run(lazy.actions().show_models(lazy.actions().Manner(as_json)))


@app.command()
def login(
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="A server, such as https://media.example.")
    ] = None,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the profile; default: the host's.")
    ] = "",
) -> None:
    """Sign in to the server at URL with an API key, asked for or read from standard input.

    Without URL: print a link that signs a browser in to the web page, once.
    """
    if url is None:
        run(lazy.operations().print_login_link())
    else:
        run(lazy.signing_in().login(url, profile))


@app.command()
def logout(
    profile: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Default: the current one.")
    ] = "",
) -> None:
    """Forget a profile with its key."""
    run(lazy.signing_in().logout(profile))


@app.command()
def profiles(
    use: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Make it the current one; `local`: none.")
    ] = "",
    as_json: Json = False,
) -> None:
    """List the servers that `login` stored, or choose the current one."""
    signing_in = lazy.signing_in()
    run(signing_in.use(use) if use else signing_in.show_all(as_json=as_json))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(installed_version())
