"""How lanes, dead letters and lists of addresses are named on the command line."""

from typing import Annotated

import typer

LaneName = Annotated[
    str, typer.Argument(metavar="LANE", help="local, gpu, ingest or remote; see `lanes`.")
]
Account = Annotated[
    str | None, typer.Option("--account", metavar="ID", help="Those of one account; for admins.")
]
Model = Annotated[str | None, typer.Option("--model", help="Those of one model.")]
Provider = Annotated[str | None, typer.Option("--provider", help="Those of one provider.")]
Lane = Annotated[str | None, typer.Option("--lane", help="Those of one lane.")]
Kind = Annotated[str | None, typer.Option("--kind", help="Such as text_to_image.")]
Error = Annotated[
    str | None, typer.Option("--error", metavar="CODE", help="Such as provider_failed.")
]
After = Annotated[
    str | None, typer.Option("--after", metavar="TIME", help="Such as 2030-01-31T12:00:00Z.")
]
Before = Annotated[str | None, typer.Option("--before", metavar="TIME", help="Likewise.")]

Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="Given to each; repeatable, or with commas between."),
]
ListForm = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="txt, csv or jsonl; else by the list's name."),
]
UrlColumn = Annotated[
    str | None, typer.Option("--url-column", metavar="NAME", help="Where the addresses are: url.")
]
Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of the list: UTF-8, or UTF-16 with a byte order mark."),
]
BatchSize = Annotated[
    int | None, typer.Option(min=1, max=1000, metavar="N", help="Addresses a batch: 500.")
]
InFlight = Annotated[
    int | None, typer.Option(min=1, max=64, metavar="N", help="Batches unfinished at once: 4.")
]
Journal = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Remembers how far it got: LIST.safelight-import.jsonl."),
]
Failures = Annotated[
    str | None, typer.Option(metavar="FILE", help="What failed and why: LIST.failures.csv.")
]
Restart = Annotated[bool, typer.Option("--restart", help="Begin a list anew, with all of it.")]


def visibility(private: bool | None) -> str | None:
    """Return what the API calls it; None leaves it to the account."""
    if private is None:
        return None
    return "private" if private else "public"
