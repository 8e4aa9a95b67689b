"""How an import goes is said in few words, and not too often."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from safelight.cli.failure import Failure
from safelight.cli.imports.chunks import Chunk
from safelight.cli.imports.entries import Entry
from safelight.cli.imports.journal import ItemOutcome, Journal
from safelight.cli.imports.meter import LineMeter, metered
from safelight.cli.imports.outcome import Failed
from safelight.cli.imports.report import Report
from safelight.cli.imports.summary import Summary
from safelight.cli.imports.tally import Tally, say_codes
from safelight.cli.show import Screen


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def screen(*, terminal: bool = False) -> tuple[Screen, io.StringIO]:
    written = io.StringIO()
    return Screen(notes=Console(file=written, force_terminal=terminal, width=100)), written


def test_tally_when_described_tells_count_rate_failures_and_time_left() -> None:
    tally = Tally(0.0, total=10_000)
    assert tally.describe(0.0) == "0 of 10,000"
    tally.follow(0, 300, 0)
    tally.finish(1, 690, {"fetch_refused": 10})
    assert tally.describe(10.0) == "1,000 of 10,000, 100/s, 10 failed, 1 min left"
    tally.finish(0, 500, {})
    assert (tally.ended, tally.failed) == (1200, 10)


def test_tally_when_the_total_is_unknown_tells_no_time_left() -> None:
    tally = Tally(0.0)
    tally.describe(0.0)
    tally.finish(0, 5, {})
    assert tally.describe(2.0) == "5, 2.5/s"


def test_tally_when_resumed_takes_what_was_done_for_no_speed() -> None:
    journal = Journal()
    journal.sending(Chunk(0, 0, (Entry(1, "https://a.example/1"),) * 3))
    journal.finished(0, ItemOutcome(2, {"canceled": 1}))
    tally = Tally(0.0, total=6)
    tally.resume(journal.chunks.values())
    assert tally.describe(0.0) == tally.describe(9.0) == "3 of 6, 1 failed"


def test_codes_when_there_are_many_are_summed_up() -> None:
    codes = {"a": 1, "b": 1200, "c": 3, "d": 4, "e": 5, "f": 6, "g": 2}
    assert say_codes(codes) == "1,200 b, 6 f, 5 e, 4 d, 3 c, 3 others"


def test_lines_when_the_import_is_long_come_ever_more_seldom() -> None:
    clock = Clock()
    target, written = screen()
    meter, tally = LineMeter(target, "urls.csv", clock), Tally(0.0, total=1000)
    for second in range(600):
        clock.now = float(second)
        tally.finish(second, 1, {})
        meter.show(tally)
    lines = written.getvalue().splitlines()
    assert lines[0].startswith("urls.csv: 6 of 1,000")
    assert 8 < len(lines) < 16


def test_lines_when_nothing_moves_are_not_repeated() -> None:
    clock = Clock()
    target, written = screen()
    meter, tally = LineMeter(target, "urls.csv", clock), Tally(0.0, total=10)
    for second in (0, 10, 30, 90):
        clock.now = float(second)
        meter.show(tally)
    assert written.getvalue() == "urls.csv: 0 of 10\n"


def test_bar_when_on_a_terminal_shows_list_and_state() -> None:
    target, written = screen(terminal=True)
    tally = Tally(time.monotonic(), total=8)
    tally.finish(0, 3, {"canceled": 1})
    with metered(target, "\x1b[2Jurls.csv") as meter:
        meter.show(tally)
    assert "urls.csv" in written.getvalue()
    assert "4 of 8, 1 failed" in written.getvalue()
    assert "\x1b[2J" not in written.getvalue()


def test_summary_when_made_for_a_program_says_all(tmp_path: Path) -> None:
    tally = Tally(0.0, sent=8, before=2)
    tally.finish(0, 5, {"canceled": 1})
    report = Report(tmp_path / "f.csv")
    assert Summary("urls.csv", tally, report, 2.0).document() == {
        "list": "urls.csv",
        "total": 8,
        "imported": 5,
        "failed": 1,
        "unfinished": 2,
        "codes": {"canceled": 1},
        "failures": None,
        "seconds": 2.0,
        "per_second": 2.0,
    }


def test_summary_when_some_failed_says_how_to_try_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, written = screen()
    tally, report = Tally(0.0), Report(tmp_path / "my f.csv")
    failed = Failed(Entry(7, "https://a.example/1"), "fetch_refused", "Refused: 404.")
    tally.finish(0, 999, {"fetch_refused": 1})
    report.add([failed.row()])
    summary = Summary("urls.csv", tally, report, 10.0, (failed,))

    summary.tell(target)

    path = f"'{tmp_path}/my f.csv'"
    assert capsys.readouterr().out == "999 of 1,000 imported in 10 s (100/s)\n"
    assert written.getvalue().splitlines() == [
        "urls.csv: line 7: https://a.example/1: Refused: 404.",
        "Failed: 1 fetch_refused.",
        f"All that failed is in {path}; try it again with: safelight import {path}",
    ]
    with pytest.raises(Failure, match="1 of 1,000"):
        summary.fail_unless_all_succeeded()
