"""How lanes and dead letters are named on the command line."""

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
