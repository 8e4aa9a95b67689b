"""The commands and their options, as typed; what each does is in other modules.

Those are imported by the commands that need them, so that `--help` answers at once.
"""

from collections.abc import Coroutine
from typing import Annotated

import typer

from safelight.cli import choices as of

app = typer.Typer(
    help="Asynchronous media jobs: text to image, import by URL, image to 3D.",
    epilog="Exit codes: 0 done, 1 failed, 2 cannot be done as typed, 3 no server answers, "
    "130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

storage = typer.Typer(help="Look after the files that are kept.", no_args_is_help=True)
app.add_typer(storage, name="storage")
account = typer.Typer(help="List accounts, take one along, bring it in.", no_args_is_help=True)
app.add_typer(account, name="account")

Output = Annotated[
    str | None,
    typer.Option("--output", "-o", help="Save here: a file, numbered if several, or a folder."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the document as JSON, nothing else.")]
Private = Annotated[
    bool | None,
    typer.Option("--private/--public", help="Who sees what is made; else as the account says."),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Queue it and return at once.")]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the model; repeatable."),
]
Subject = Annotated[str, typer.Argument(metavar="ID", help="A job's or a batch's id.")]


@app.command()
def serve(
    prompt: Annotated[
        str | None, typer.Option(envvar="PROMPT", help="Draw this as soon as the server is ready.")
    ] = None,
    no_samples: Annotated[
        bool, typer.Option("--no-samples", help="Send no sample jobs on the first start.")
    ] = False,
) -> None:
    """Run API, worker and web page in one process, until Ctrl-C."""
    _settle(_server().serve(prompt or "", with_samples=not no_samples))


@app.command()
def api() -> None:
    """Run the API and web page alone; workers and janitors are processes of their own."""
    _settle(_server().serve_api())


@app.command()
def worker(
    lanes: Annotated[
        str, typer.Option(metavar="LANE,…", help="Of local, gpu, ingest, remote; all if left out.")
    ] = "",
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Jobs at once in each lane; in local only if named."),
    ] = None,
) -> None:
    """Run jobs, and nothing else. Any number of workers share a PostgreSQL."""
    server = _server()
    _settle(server.serve_role(server.Role.WORKER, lanes=lanes, concurrency=concurrency))


@app.command()
def janitor() -> None:
    """Look after jobs whose worker died, deadlines, lost rings and old rows; any number may run."""
    server = _server()
    _settle(server.serve_role(server.Role.JANITOR))


@app.command()
def notifier() -> None:
    """Tell webhook endpoints what happened; any number may run."""
    server = _server()
    _settle(server.serve_role(server.Role.NOTIFIER))


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help='What to show: "A red cat playing guitar".')],
    *,
    output: Output = None,
    model: Annotated[str | None, typer.Option(help="See `safelight models`.")] = None,
    n: Annotated[int | None, typer.Option("--n", "-n", help="How many pictures.")] = None,
    size: Annotated[str | None, typer.Option(help="Such as 1024x768.")] = None,
    aspect_ratio: Annotated[str | None, typer.Option(help="Such as 16:9.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same prompt and seed, same picture.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="png, jpeg or webp; else by the output's name.")
    ] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What not to show.")] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|URL|ASSET", help="A picture to start from; repeatable."),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL|ASSET", help="Where this is transparent, the first may change."
        ),
    ] = None,
    param: Params = None,
    private: Private = None,
    as_json: Json = False,
    no_wait: NoWait = False,
) -> None:
    """Make pictures from a prompt."""
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
    manner = _actions().Manner(as_json, not no_wait, output)
    _settle(_actions().generate(wanted, reference or [], mask, param or [], manner))


@app.command("import")
def import_images(
    addresses: Annotated[
        list[str],
        typer.Argument(metavar="URL...|LIST", help="Addresses; or one .txt, .csv, .jsonl or -."),
    ],
    *,
    output: Output = None,
    as_json: Json = False,
    no_wait: NoWait = False,
    tag: of.Tags = None,
    form: of.ListForm = None,
    url_column: of.UrlColumn = None,
    batch_size: of.BatchSize = None,
    in_flight: of.InFlight = None,
    journal: of.Journal = None,
    failures: of.Failures = None,
    restart: of.Restart = False,
) -> None:
    """Keep pictures from elsewhere under addresses of your own: a few, or a list of any length.

    A list goes on where it stopped when the same command is run again. Its columns are url,
    external_id, name and tags; all others become metadata.
    """
    options = _importing().Options(
        tuple(tag or ()),
        form,
        url_column,
        batch_size,
        in_flight,
        journal,
        failures,
        restart,
    )
    manner = _actions().Manner(as_json, not no_wait, output)
    _settle(_importing().import_words(addresses, manner, options))


@app.command()
def model3d(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Pictures, up to 25.")],
    *,
    output: Output = None,
    model: Annotated[str | None, typer.Option(help="See `safelight models`.")] = None,
    left: Annotated[
        str | None, typer.Option(metavar="FILE", help="The same thing from its left.")
    ] = None,
    back: Annotated[str | None, typer.Option(metavar="FILE", help="From the back.")] = None,
    right: Annotated[str | None, typer.Option(metavar="FILE", help="From its right.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the batch.")] = None,
    tag: of.Tags = None,
    param: Params = None,
    private: Private = None,
    as_json: Json = False,
    no_wait: NoWait = False,
) -> None:
    """Make a 3D model of each picture; or of one thing from several sides, FILE being the front."""
    manner = _actions().Manner(as_json, not no_wait, output)
    sides = {"left": left, "back": back, "right": right}
    said = {"model": model, "name": name, "tags": tag, "visibility": of.visibility(private)}
    _settle(_actions().make_3d(files, sides, said, param or [], manner))


@app.command()
def jobs(
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 20,
    status: Annotated[
        str | None, typer.Option(help="queued, running, succeeded, failed or canceled.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Such as text_to_image.")] = None,
    as_json: Json = False,
) -> None:
    """List the newest jobs."""
    chosen = {"limit": limit, "status": status, "kind": kind}
    _settle(_actions().show_jobs(chosen, _actions().Manner(as_json)))


@app.command()
def assets(
    query: Annotated[
        str, typer.Argument(help="""Words, '"a phrase"', '-without', 'begin*'; all if left out.""")
    ] = "",
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 20,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="With this tag; repeatable.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="image or model_3d.")] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Such as jpeg, png, webp or glb.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Imported from there.")] = None,
    as_json: Json = False,
) -> None:
    """Find what is kept: pictures and 3D models, newest first."""
    chosen = {
        "q": query,
        "limit": limit,
        "tag": tag,
        "kind": kind,
        "format": form,
        "host": host,
    }
    _settle(_actions().show_assets(chosen, _actions().Manner(as_json)))


@app.command()
def job(subject: Subject, as_json: Json = False) -> None:
    """Show one job, or all of a batch."""
    _settle(_actions().show_job(subject, _actions().Manner(as_json)))


@app.command()
def download(
    subject: Subject,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Save here: a file or a folder.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Of 3D models: obj, stl, ply or usdz; else GLB.")
    ] = None,
    previews: Annotated[
        bool, typer.Option("--previews", help="Of a batch: with a picture of each 3D model.")
    ] = False,
) -> None:
    """Save what a job made, or all of a batch as one ZIP."""
    manner = _actions().Manner(target=output)
    _settle(_actions().download(subject, manner, form=form, previews=previews))


@app.command()
def cancel(subject: Subject, as_json: Json = False) -> None:
    """End a job that is queued or running, or all such jobs of a batch."""
    _settle(_actions().cancel(subject, _actions().Manner(as_json)))


@app.command()
def redrive(
    job_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="A job, or a batch; or use --all-failed.")
    ] = None,
    *,
    all_failed: Annotated[
        bool, typer.Option("--all-failed", help="All of yours that failed, and match the options.")
    ] = False,
    all_accounts: Annotated[
        bool, typer.Option("--all-accounts", help="Those of everybody; for admins.")
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
        int | None, typer.Option(min=1, max=10_000, help="At most so many, newest first: 1000.")
    ] = None,
    output: Output = None,
    as_json: Json = False,
    no_wait: NoWait = False,
) -> None:
    """Do a failed or canceled job anew, the failed ones of a batch, or all failed ones."""
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
    manner = _actions().Manner(as_json, not no_wait, output)
    _settle(
        _operations().redrive(
            job_id, chosen, manner, all_failed=all_failed, all_accounts=all_accounts
        )
    )


@app.command()
def doctor(
    *,
    provider: Annotated[str | None, typer.Option(help="Look at this provider alone.")] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Let it do one job for real, which may cost money.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="With --live: which of its models.")] = None,
    prompt: Annotated[str, typer.Option(help="With --live: what to show.")] = "A red cat",
    picture: Annotated[
        str | None, typer.Option(metavar="FILE", help="With --live: a picture to work from.")
    ] = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Say whether this installation and its vendors are well."""
    trial = _doctor().Trial(model, prompt, picture) if live else None
    _settle(
        _doctor().examine(provider, trial, _actions().Manner(as_json, waits=True, target=output))
    )


@app.command()
def backup(
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The file: safelight-DATE.tar.")
    ] = None,
) -> None:
    """Write all that this installation keeps, rows and files, into one TAR; it may be at work."""
    _settle(_backup().write_backup(output))


@app.command()
def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `safelight backup` wrote.")],
) -> None:
    """Put a backup into an installation that nobody has used yet, on any database."""
    _settle(_backup().restore_backup(file))


@account.command("list")
def list_accounts(as_json: Json = False) -> None:
    """Show the accounts and what they keep."""
    _settle(_account().show_accounts(as_json=as_json))


@account.command("export")
def export_account(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its id.")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The file: ACCOUNT.tar.")
    ] = None,
) -> None:
    """Write all that an account keeps into one TAR: what has ended, files, and no key or secret."""
    _settle(_account().export_account(account_id, output))


@account.command("import")
def import_account(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `account export` wrote.")],
) -> None:
    """Put an exported account into an installation that does not have it; print a key for it."""
    _settle(_account().import_account(file))


@storage.command()
def usage(as_json: Json = False) -> None:
    """Show how many files and bytes each account keeps, by kind."""
    _settle(_storage().show_usage(as_json=as_json))


@storage.command()
def fsck(
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove what nobody names; make anew what can be.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare files and rows; say what is lost or left over. A server may run meanwhile."""
    _settle(_storage().check(repair=repair, as_json=as_json))


@storage.command()
def lifecycle(
    cool_after: Annotated[
        int | None,
        typer.Option(metavar="DAYS", min=30, help="Then originals go to a cheaper class."),
    ] = None,
) -> None:
    """Print rules for the bucket, as its cloud takes them: uploads cut off, old versions."""
    _settle(_storage().write_lifecycle(cool_after))


@app.command()
def lanes(as_json: Json = False) -> None:
    """Show what stands in each lane and at each provider."""
    _settle(_operations().show_lanes(_actions().Manner(as_json)))


@app.command()
def pause(lane: of.LaneName, as_json: Json = False) -> None:
    """Let a lane start nothing more; what runs there goes on."""
    _settle(_operations().pause(lane, _actions().Manner(as_json)))


@app.command()
def resume(lane: of.LaneName, as_json: Json = False) -> None:
    """Let a paused lane start jobs again."""
    _settle(_operations().resume(lane, _actions().Manner(as_json)))


@app.command("dead-letters")
def dead_letters(
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 20,
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
    _settle(_operations().show_dead_letters(chosen, _actions().Manner(as_json)))


@app.command()
def models(as_json: Json = False) -> None:
    """List what can be asked for."""
    _settle(_actions().show_models(_actions().Manner(as_json)))


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed  # noqa: PLC0415  30 ms

    typer.echo(installed("safelight"))


def _settle(work: Coroutine[None, None, None]) -> None:
    from safelight.cli.settle import settle  # noqa: PLC0415

    raise typer.Exit(settle(work))


# Unannotated, so that a type checker sees the modules themselves.


def _actions():
    from safelight.cli import actions  # noqa: PLC0415

    return actions


def _backup():
    from safelight.cli import backup as keeping  # noqa: PLC0415

    return keeping


def _account():
    from safelight.cli import account as accounts  # noqa: PLC0415

    return accounts


def _storage():
    from safelight.cli import storage as files  # noqa: PLC0415

    return files


def _doctor():
    from safelight.cli import doctor as examination  # noqa: PLC0415

    return examination


def _importing():
    from safelight.cli.imports import command  # noqa: PLC0415

    return command


def _operations():
    from safelight.cli import operations  # noqa: PLC0415

    return operations


def _server():
    from safelight.cli import serve as server  # noqa: PLC0415

    return server
