"""Commands about jobs."""

from typing import Annotated

import typer

from safelight.cli.commands import choices as of
from safelight.cli.commands import lazy
from safelight.cli.commands.base import app, run
from safelight.cli.commands.options import Json, NoWait, Output, Subject


@app.command()
def jobs(
    limit: Annotated[int, typer.Option(min=1, max=200, help="Maximum number.")] = 20,
    status: Annotated[
        str | None, typer.Option(help="queued, running, succeeded, failed or canceled.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Such as text_to_image.")] = None,
    as_json: Json = False,
) -> None:
    """List the newest jobs."""
    chosen = {"limit": limit, "status": status, "kind": kind}
    run(lazy.actions().show_jobs(chosen, lazy.actions().Manner(as_json)))


@app.command()
def job(subject: Subject, as_json: Json = False) -> None:
    """Show a job, or all jobs of a batch."""
    run(lazy.actions().show_job(subject, lazy.actions().Manner(as_json)))


@app.command()
def download(
    subject: Subject,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Save here: a file, a folder if several, or `-`."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="Convert: obj, stl, ply or usdz; png, jpeg, webp or avif."),
    ] = None,
    previews: Annotated[
        bool, typer.Option("--previews", help="For a batch: include a picture of each 3D model.")
    ] = False,
) -> None:
    """Download the outputs of a job, or of a batch as one ZIP."""
    manner = lazy.actions().Manner(target=output)
    run(lazy.actions().download(subject, manner, form=form, previews=previews))


@app.command()
def cancel(subject: Subject, as_json: Json = False) -> None:
    """Cancel a job, or all unfinished jobs of a batch."""
    run(lazy.actions().cancel(subject, lazy.actions().Manner(as_json)))


@app.command()
def redrive(
    job_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="A job, or a batch; or use --all-failed.")
    ] = None,
    *,
    all_failed: Annotated[
        bool, typer.Option("--all-failed", help="All your failed jobs that match the options.")
    ] = False,
    all_accounts: Annotated[
        bool, typer.Option("--all-accounts", help="Of all accounts; for admins.")
    ] = False,
    account: of.Account = None,
    model: of.Model = None,
    provider: of.Provider = None,
    lane: of.Lane = None,
    kind: of.Kind = None,
    error: of.Error = None,
    after: of.After = None,
    before: of.Before = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Maximum number, newest first: 1000."),
    ] = None,
    output: Output = None,
    as_json: Json = False,
    no_wait: NoWait = False,
) -> None:
    """Retry a failed or canceled job, the failed jobs of a batch, or all failed jobs."""
    chosen = {
        "account_id": account,
        "model": model,
        "provider": provider,
        "lane": lane,
        "kind": kind,
        "error": error,
        "finished_after": after,
        "finished_before": before,
        "limit": limit,
    }
    manner = lazy.actions().Manner(as_json, not no_wait, output)
    run(
        lazy.operations().redrive(
            job_id, chosen, manner, all_failed=all_failed, all_accounts=all_accounts
        )
    )
