"""Options that several commands share."""

from typing import Annotated

import typer

Output = Annotated[
    str | None,
    typer.Option("--output", "-o", help="Save here: a file, a folder if several, or `-`."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the document as JSON, nothing else.")]
Private = Annotated[
    bool | None,
    typer.Option("--private/--public", help="Visibility of the outputs; default: the account's."),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Submit and return at once.")]
Timeout = Annotated[
    float | None,
    typer.Option(min=0.1, metavar="SECONDS", help="Stop waiting after this time; the job goes on."),
]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the model; repeatable."),
]
Subject = Annotated[str, typer.Argument(metavar="ID", help="Id of a job or batch.")]
