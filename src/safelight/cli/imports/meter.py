"""Shows how a long import goes: one bar on a terminal, else a line now and then."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from safelight.cli.imports.tally import Tally
from safelight.cli.show import Screen, clean

_FIRST_LINE_S = 5.0
_MOST_REST_S = 60.0
_LONGEST_TITLE = 32


class Meter(Protocol):
    """Something that a tally is shown on, as often as one likes."""

    def show(self, tally: Tally) -> None: ...


@contextmanager
def metered(screen: Screen, title: str) -> Generator[Meter]:
    """Yield a meter for as long as the work goes on."""
    if not screen.notes.is_terminal:
        yield LineMeter(screen, title)
        return
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn(
            "{task.fields[state]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis"),
        ),
        TimeElapsedColumn(),
        console=screen.notes,
    )
    with bars:
        yield BarMeter(bars, title)


class BarMeter:
    """A bar that fills, or wanders while the length of the list is unknown."""

    def __init__(self, bars: Progress, title: str) -> None:
        self._bars = bars
        name = clean(title)
        cut = name if len(name) <= _LONGEST_TITLE else f"…{name[1 - _LONGEST_TITLE :]}"
        self._id: TaskID = bars.add_task(cut, total=None, state="")

    def show(self, tally: Tally) -> None:
        """Move the bar."""
        state = tally.describe(time.monotonic())
        self._bars.update(self._id, total=tally.total, completed=tally.done, state=state)


class LineMeter:
    """A line after some seconds, and then ever more seldom, as logs like it."""

    def __init__(
        self, screen: Screen, title: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._screen = screen
        self._title = title
        self._clock = clock
        self._rest_s = _FIRST_LINE_S
        self._due = clock() + self._rest_s
        self._last = ""

    def show(self, tally: Tally) -> None:
        """Write a line if it is time and there is something new."""
        now = self._clock()
        state = tally.describe(now)
        if now < self._due or state == self._last:
            return
        self._rest_s = min(self._rest_s * 2, _MOST_REST_S)
        self._due = now + self._rest_s
        self._last = state
        self._screen.note(f"{self._title}: {state}")
