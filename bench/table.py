"""Prints measurements as tables, and computes percentiles."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

Row = Mapping[str, float | int | str]


def show(title: str, rows: Sequence[Row]) -> None:
    """Print `rows`, whose keys are the columns."""
    table = Table()
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(f"{value:,.2f}" if isinstance(value, float) else str(value) for value in row.values())
        )
    console = Console(width=110)
    console.print(f"\n[bold]{title}[/bold]")
    console.print(table)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of `values` lie, by the nearest rank."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def latency(seconds: Sequence[float]) -> dict[str, float | int | str]:
    """Return p50, p99 and the maximum in milliseconds."""
    return {
        "p50 ms": percentile(seconds, 0.50) * 1000,
        "p99 ms": percentile(seconds, 0.99) * 1000,
        "max ms": max(seconds) * 1000,
    }
