"""Commands for operators: lanes, failed jobs, health, backups."""

from typing import Annotated

import typer

from safelight.cli.commands import choices as of
from safelight.cli.commands import lazy
from safelight.cli.commands.base import app, backup, run, secrets
from safelight.cli.commands.options import Json, Output


@app.command()
def lanes(as_json: Json = False) -> None:
    """Show queued and running jobs per lane and provider."""
    run(lazy.operations().show_lanes(lazy.actions().Manner(as_json)))


@app.command()
def workers(as_json: Json = False) -> None:
    """Show the processes that do the work, and which are gone."""
    run(lazy.operations().show_workers(lazy.actions().Manner(as_json)))


@app.command()
def pause(lane: of.LaneName, as_json: Json = False) -> None:
    """Pause a lane: running jobs continue, no others start."""
    run(lazy.operations().pause(lane, lazy.actions().Manner(as_json)))


@app.command()
def resume(lane: of.LaneName, as_json: Json = False) -> None:
    """Resume a paused lane."""
    run(lazy.operations().resume(lane, lazy.actions().Manner(as_json)))


@app.command("dead-letters")
def dead_letters(
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number.")] = 20,
    account: of.Account = None,
    model: of.Model = None,
    provider: of.Provider = None,
    lane: of.Lane = None,
    kind: of.Kind = None,
    error: of.Error = None,
    after: of.After = None,
    before: of.Before = None,
    as_json: Json = False,
) -> None:
    """List the failed jobs of all accounts, newest first."""
    chosen = {
        "limit": limit,
        "account_id": account,
        "model": model,
        "provider": provider,
        "lane": lane,
        "kind": kind,
        "error": error,
        "finished_after": after,
        "finished_before": before,
    }
    run(lazy.operations().show_dead_letters(chosen, lazy.actions().Manner(as_json)))


@app.command()
def doctor(
    *,
    provider: Annotated[str | None, typer.Option(help="Check this provider only.")] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Run one real job, which may cost money.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="With --live: which of its models.")] = None,
    prompt: Annotated[
        str | None, typer.Option(help="With --live: the prompt; default: A red cat.")
    ] = None,
    picture: Annotated[
        str | None, typer.Option(metavar="FILE", help="With --live: a picture to work from.")
    ] = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Check this installation and its providers."""
    trial = {"--model": model, "--prompt": prompt, "--picture": picture, "--output": output}
    manner = lazy.actions().Manner(as_json, waits=True, target=output)
    run(lazy.doctor().examine(provider, trial, manner, is_live=live))


@backup.callback(invoke_without_command=True)
def back_up(
    context: typer.Context,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="The file, `-` for standard output; default: safelight-DATE.tar.",
        ),
    ] = None,
) -> None:
    """Write all rows and files into one TAR; a server may be running."""
    if context.invoked_subcommand is None:
        run(lazy.backup().write_backup(output))


@backup.command()
def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A backup or an exported account.")],
    as_json: Json = False,
) -> None:
    """Compare a backup with its checksums; needs no installation."""
    run(lazy.backup().verify_backup(file, as_json=as_json))


@secrets.command()
def rotate() -> None:
    """Encrypt all secrets with the first of SAFELIGHT_ENCRYPTION_KEY; a server may be running."""
    run(lazy.sealing().rotate())


@app.command()
def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Written by `safelight backup`.")],
) -> None:
    """Restore a backup into an empty installation, on any database."""
    run(lazy.backup().restore_backup(file))
