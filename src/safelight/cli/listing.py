"""Prints jobs, assets and models: tables for people, lines with tabs for programs."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich import box
from rich.table import Table
from rich.text import Text

from safelight.cli.documents import Document, items_of, title_of
from safelight.cli.failure import say
from safelight.cli.progress import describe, read_document
from safelight.cli.show import Screen, clean
from safelight.documents import Asset, Job, Model
from safelight.documents.values import Moment

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def show_jobs(screen: Screen, jobs: Sequence[Job], *, is_filtered: bool) -> None:
    """List jobs, newest first; `is_filtered` says that others were left out."""
    rows = [
        (job["id"], job["kind"], _state(job), age(job["created_at"]), title_of(job)) for job in jobs
    ]
    if not rows and is_filtered:
        screen.note("No job matches.")
    elif not rows:
        screen.note('There are no jobs yet. Try: safelight generate "A red cat playing guitar"')
    print_table(screen, ("id", "kind", "status", "age", "what"), rows)


def show_assets(screen: Screen, assets: Sequence[Asset]) -> None:
    """List assets, newest first; programs get their addresses too."""
    if not assets:
        screen.note("Nothing matches.")
    rows = [
        (
            asset["id"],
            f"{asset['width']}x{asset['height']}" if asset["width"] else "",
            asset["media_type"].rpartition("/")[2].removesuffix("-binary"),
            age(asset["created_at"]),
            " ".join((asset["name"] or asset["prompt"] or "", *map("#{}".format, asset["tags"]))),
            asset["url"] or "",
        )
        for asset in assets
    ]
    print_table(screen, ("id", "size", "format", "age", "what", "address"), rows)


def show_models(screen: Screen, models: Sequence[Model]) -> None:
    """List what can be asked for."""
    rows = [
        (model["id"], ", ".join(model["kinds"]), price_of(model), model["description"])
        for model in models
    ]
    print_table(screen, ("model", "kinds", "price", "what it does"), rows)


def show_document(screen: Screen, document: Document) -> None:
    """Show one job, or the jobs of a batch."""
    for item in items_of(document):
        job = item["job"]
        if job is None:
            screen.result(f"{item['name']}: {say(item['problem'] or {})}")
            continue
        facts: list[tuple[str, object]] = [
            ("job", job["id"]),
            ("what", title_of(job)),
            ("kind", job["kind"]),
            ("model", job["model"]),
            ("status", _state(job)),
            ("attempts", job["attempts"]),
            ("created", job["created_at"]),
            ("finished", job["finished_at"] or ""),
            ("error", say(job["error"]) if job["error"] else ""),
            *(("result", asset["url"] or "") for asset in job["outputs"]),
        ]
        for name, value in facts:
            if value:
                screen.result(f"{name:<10}{' '.join(str(value).split())}")


def print_table(screen: Screen, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table where a person looks, else one line a row that is never cut."""
    if not rows:
        return
    if not screen.out.is_terminal:
        for row in rows:
            screen.result("\t".join(" ".join(cell.split()) for cell in row))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), expand=True)
    for place, head in enumerate(heads):
        # Only the last column gives way: an id that is cut is of no use.
        is_last = place == len(heads) - 1
        least = None if is_last else max(len(row[place]) for row in rows)
        table.add_column(
            head, no_wrap=True, overflow="ellipsis", min_width=least, ratio=int(is_last) or None
        )
    for row in rows:
        table.add_row(*(Text(" ".join(clean(cell).split())) for cell in row))
    screen.out.print(table)


def _state(job: Job) -> str:
    return describe(read_document(job).rows[0])


def price_of(model: Model) -> str:
    """Return what a job of a model costs, for people."""
    micros = model.get("price_micros")
    if micros is None:
        return "unknown"
    return f"{micros / 1_000_000:.4f}" if micros else "free"


def age(since: Moment) -> str:
    """Return how long ago a time was, in its largest unit."""
    return duration((datetime.now(UTC) - datetime.fromisoformat(str(since))).total_seconds())


def duration(seconds: float) -> str:
    """Return a duration in its largest unit."""
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= unit_s:
            return f"{int(seconds // unit_s)} {unit}"
    return f"{max(int(seconds), 0)} s"
