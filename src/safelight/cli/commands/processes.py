"""Commands that run a process: everything in one, or one role."""

from typing import Annotated

import typer

from safelight.cli.commands import lazy
from safelight.cli.commands.base import app, run


@app.command()
def serve(
    prompt: Annotated[
        str | None, typer.Option(envvar="PROMPT", help="Draw this once the server is ready.")
    ] = None,
    no_samples: Annotated[
        bool, typer.Option("--no-samples", help="Submit no sample jobs on the first start.")
    ] = False,
) -> None:
    """Run API, worker and web page in one process, until Ctrl-C."""
    run(lazy.server().serve(prompt or "", with_samples=not no_samples))


@app.command()
def api() -> None:
    """Run only the API and web page; workers and janitors are separate processes."""
    run(lazy.server().serve_api())


@app.command()
def worker(
    lanes: Annotated[
        str, typer.Option(metavar="LANE,…", help="local, gpu, ingest, remote; default: all.")
    ] = "",
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Concurrent jobs per lane; in local only if named."),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, metavar="N", help="Worker processes; one that dies is replaced.")
    ] = 1,
    until_stdin_ends: Annotated[bool, typer.Option("--until-stdin-ends", hidden=True)] = False,
) -> None:
    """Run jobs only. Any number of workers share a PostgreSQL database."""
    server = lazy.server()
    if processes > 1:
        run(server.serve_workers(processes, lanes=lanes, concurrency=concurrency))
    run(
        server.serve_role(
            server.ProcessRole.WORKER,
            lanes=lanes,
            concurrency=concurrency,
            until_stdin_ends=until_stdin_ends,
        )
    )


@app.command()
def janitor() -> None:
    """Rescue jobs of dead workers, enforce deadlines, delete old rows; run any number."""
    server = lazy.server()
    run(server.serve_role(server.ProcessRole.JANITOR))


@app.command()
def notifier() -> None:
    """Deliver webhooks, mail and SMS; run any number."""
    server = lazy.server()
    run(server.serve_role(server.ProcessRole.NOTIFIER))
