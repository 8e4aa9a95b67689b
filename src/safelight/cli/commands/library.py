"""Commands about stored files."""

from typing import Annotated

import typer

from safelight.cli.commands import lazy
from safelight.cli.commands.base import app, run, storage
from safelight.cli.commands.options import Json


@app.command()
def assets(
    query: Annotated[
        str, typer.Argument(help="""Words, '"a phrase"', '-without', 'prefix*'; default: all.""")
    ] = "",
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number.")] = 20,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="With this tag; repeatable.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="image or model_3d.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Such as jpeg, png, webp or glb.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Imported from this host.")] = None,
    as_json: Json = False,
) -> None:
    """Search stored pictures and 3D models, newest first."""
    chosen = {
        "q": query,
        "limit": limit,
        "tag": tag,
        "kind": kind,
        "format": form,
        "host": host,
    }
    run(lazy.actions().show_assets(chosen, lazy.actions().Manner(as_json)))


@storage.command()
def usage(as_json: Json = False) -> None:
    """Show stored files and bytes per account and kind."""
    run(lazy.storage().show_usage(as_json=as_json))


@storage.command()
def fsck(
    repair: Annotated[
        bool, typer.Option("--repair", help="Delete orphans; rebuild lost renditions.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every file, and compare it with its checksum.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare files and rows; report lost files and orphans. A server may be running."""
    run(lazy.storage().check(repair=repair, deep=deep, as_json=as_json))


@storage.command()
def lifecycle(
    cool_after: Annotated[
        int | None,
        typer.Option(metavar="DAYS", min=30, help="Days until originals move to a cheaper class."),
    ] = None,
) -> None:
    """Print lifecycle rules for the bucket: aborted uploads, old versions."""
    run(lazy.storage().write_lifecycle(cool_after))
