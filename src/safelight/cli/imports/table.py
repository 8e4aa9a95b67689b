"""Reads CSV record by record; one that is broken is told by its line and costs no other."""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from safelight.cli.imports.lines import Line

_DELIMITERS = ",;\t"
_MOST_LINES = 50  # of one record; a quote that is never closed would swallow the list


@dataclass(frozen=True, slots=True)
class Record:
    """The cells of one record and the line where it begins, or what is wrong with that line."""

    line: int
    cells: list[str]
    fault: str = ""


def read_records(lines: Iterator[Line]) -> Iterator[Record]:
    """Yield the records, blank ones left out; the first line shows what parts the cells."""
    feed = _Feed(lines)
    if (first := feed.look()) is None:
        return
    reader = csv.reader(feed, delimiter=max(_DELIMITERS, key=first.text.count), strict=True)
    while True:
        feed.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Record(feed.give_back(), [], str(error))
        else:
            if any(cell.strip() for cell in cells):
                yield Record(feed.first_line, cells)


class _Feed:
    """Hands lines to the CSV reader, and takes back those that a broken record swallowed."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._returned: deque[Line] = deque()
        self._taken: list[Line] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self._taken) == _MOST_LINES:
            raise csv.Error(f"a quote is not closed within {_MOST_LINES} lines")
        line = self._returned.popleft() if self._returned else next(self._lines)
        self._taken.append(line)
        if line.fault:
            raise csv.Error(f"a line is {line.fault}")
        return f"{line.text}\n"

    @property
    def first_line(self) -> int:
        """The number of the line at which the present record begins."""
        return self._taken[0].number

    def look(self) -> Line | None:
        """Return the first line without taking it."""
        line = next(self._lines, None)
        if line:
            self._returned.append(line)
        return line

    def begin(self) -> None:
        """Forget the record before."""
        self._taken = []

    def give_back(self) -> int:
        """Return all lines of the present record but its first, whose number is returned."""
        self._returned.extendleft(reversed(self._taken[1:]))
        return self.first_line
