"""Shows progress and notes on stderr, results on stdout: live on a terminal, else line by line."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from safelight.cli.progress import Row, describe

_MOST_BARS = 10
_LONGEST_TITLE = 48


class Display(Protocol):
    """Something that rows are shown on as they change."""

    def show(self, row: Row) -> None: ...


class Screen:
    """Output of a command: notes to stderr, results to stdout."""

    def __init__(self, out: Console | None = None, notes: Console | None = None) -> None:
        self.out = out or Console(highlight=False)
        self.notes = notes or Console(stderr=True, highlight=False)

    def note(self, text: str) -> None:
        """Tell a person something, on stderr."""
        self.notes.print(clean(text), markup=False, soft_wrap=True)

    def result(self, text: str) -> None:
        """Write one line of result, exactly, on stdout."""
        sys.stdout.write(f"{clean(text)}\n")
        sys.stdout.flush()

    def document(self, document: object) -> None:
        """Write a document as JSON on stdout."""
        sys.stdout.write(f"{json.dumps(document, indent=2, ensure_ascii=False)}\n")
        sys.stdout.flush()

    @contextmanager
    def progress(self, rows: int) -> Generator[Display]:
        """Yield a display for that many rows."""
        if not self.notes.is_terminal:
            yield LineDisplay(self)
            return
        with _bars(self.notes) as bars:
            yield BarDisplay(bars) if rows <= _MOST_BARS else SumDisplay(bars, rows)


class LineDisplay:
    """One line for each change of status or stage, as logs and pipes like it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._last: dict[str, tuple[str, str]] = {}
        self._titles: dict[str, str] = {}

    def show(self, row: Row) -> None:
        """Write a line, unless the last one of this row still says it."""
        title = _remember(self._titles, row)
        if self._last.get(row.key) == (row.status, row.stage):
            return
        self._last[row.key] = (row.status, row.stage)
        self._screen.note(f"{title}: {describe(row)}")


class BarDisplay:
    """A bar for each row."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._ids: dict[str, TaskID] = {}
        self._titles: dict[str, str] = {}

    def show(self, row: Row) -> None:
        """Move the row's bar."""
        title = _remember(self._titles, row)
        if row.key not in self._ids:
            self._ids[row.key] = self._bars.add_task(title, total=100.0, state="")
        self._bars.update(self._ids[row.key], completed=row.percent, state=clean(describe(row)))
        if row.is_final:
            self._bars.stop_task(self._ids[row.key])


class SumDisplay:
    """One bar for rows too many to show singly."""

    def __init__(self, bars: Progress, rows: int) -> None:
        self._bars = bars
        self._rows: dict[str, Row] = {}
        self._count = rows
        self._id = bars.add_task(f"{rows} jobs", total=100.0, state="")

    def show(self, row: Row) -> None:
        """Move the bar by what this row has changed."""
        self._rows[row.key] = row
        final = sum(1 for known in self._rows.values() if known.is_final)
        done = sum(100.0 if known.is_final else known.percent for known in self._rows.values())
        state = f"{final} of {self._count} done"
        self._bars.update(self._id, completed=done / self._count, state=state)


def clean(text: str) -> str:
    """Return `text` without what could steer a terminal: others may have written it."""
    return "".join(char if char.isprintable() or char in "\n\t" else " " for char in text)


def _remember(titles: dict[str, str], row: Row) -> str:
    """Return the row's title; events later than the first may not carry it."""
    if row.key not in titles or row.title:
        text = " ".join(clean(row.title or row.key).split())
        cut = f"{text[: _LONGEST_TITLE - 1]}…" if len(text) > _LONGEST_TITLE else text
        titles.setdefault(row.key, cut)
    return titles[row.key]


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
        console=console,
    )
