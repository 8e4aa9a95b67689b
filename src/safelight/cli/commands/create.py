"""Commands that submit work."""

from typing import Annotated

import typer

from safelight.cli.commands import choices as of
from safelight.cli.commands import lazy
from safelight.cli.commands.base import app, run
from safelight.cli.commands.options import Json, NoWait, Output, Params, Private, Timeout


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help='What to draw: "A red cat playing guitar".')],
    *,
    output: Output = None,
    model: Annotated[str | None, typer.Option(help="See `safelight models`.")] = None,
    n: Annotated[int | None, typer.Option("--n", "-n", help="Number of pictures.")] = None,
    size: Annotated[str | None, typer.Option(help="Such as 1024x768.")] = None,
    aspect_ratio: Annotated[str | None, typer.Option(help="Such as 16:9.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same prompt and seed, same picture.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="png, jpeg or webp; else by the output's name.")
    ] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What to avoid.")] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|URL|ASSET", help="Reference picture; repeatable."),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL|ASSET",
            help="Transparent where the first reference may change.",
        ),
    ] = None,
    param: Params = None,
    private: Private = None,
    as_json: Json = False,
    no_wait: NoWait = False,
    timeout: Timeout = None,
) -> None:
    """Generate pictures from a prompt."""
    wanted = {
        "prompt": prompt,
        "model": model,
        "n": n,
        "size": size,
        "aspect_ratio": aspect_ratio,
        "seed": seed,
        "format": form,
        "negative_prompt": negative_prompt,
        "visibility": of.visibility(private),
    }
    manner = lazy.actions().Manner(as_json, not no_wait, output, timeout)
    run(lazy.actions().generate(wanted, reference or [], mask, param or [], manner))


@app.command("import")
def import_images(
    addresses: Annotated[
        list[str],
        typer.Argument(metavar="URL...|LIST", help="URLs; or one .txt, .csv, .jsonl or -."),
    ],
    *,
    output: Output = None,
    as_json: Json = False,
    no_wait: NoWait = False,
    timeout: Timeout = None,
    tag: of.Tags = None,
    form: of.ListForm = None,
    url_column: of.UrlColumn = None,
    encoding: of.Encoding = None,
    batch_size: of.BatchSize = None,
    in_flight: of.InFlight = None,
    journal: of.Journal = None,
    failures: of.Failures = None,
    restart: of.Restart = False,
) -> None:
    """Import pictures by URL: a few, or a list of any length.

    Run the same command again to resume a list. Its columns are url, external_id, name and
    tags; all others become metadata.
    """
    options = lazy.importing().Options(
        tuple(tag or ()),
        form,
        url_column,
        encoding,
        batch_size,
        in_flight,
        journal,
        failures,
        restart,
    )
    manner = lazy.actions().Manner(as_json, not no_wait, output, timeout)
    run(lazy.importing().import_words(addresses, manner, options))


@app.command()
def model3d(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Pictures, up to 25.")],
    *,
    output: Output = None,
    model: Annotated[str | None, typer.Option(help="See `safelight models`.")] = None,
    left: Annotated[
        str | None, typer.Option(metavar="FILE", help="The same object from its left.")
    ] = None,
    back: Annotated[str | None, typer.Option(metavar="FILE", help="From the back.")] = None,
    right: Annotated[str | None, typer.Option(metavar="FILE", help="From its right.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the batch.")] = None,
    tag: of.Tags = None,
    param: Params = None,
    private: Private = None,
    as_json: Json = False,
    no_wait: NoWait = False,
    timeout: Timeout = None,
) -> None:
    """Make a 3D model of each picture, or of one object from several sides: FILE is the front."""
    manner = lazy.actions().Manner(as_json, not no_wait, output, timeout)
    sides = {"left": left, "back": back, "right": right}
    said = {"model": model, "name": name, "tags": tag, "visibility": of.visibility(private)}
    run(lazy.actions().make_3d(files, sides, said, param or [], manner))
