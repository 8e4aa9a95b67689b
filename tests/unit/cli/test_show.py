"""Output for people: lines in logs, bars on terminals, and no control characters in either."""

import io

import pytest
from rich.console import Console

from safelight.cli.progress import Row
from safelight.cli.show import Display, Screen, clean


def console(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, force_terminal=terminal, width=100), written


def show(display: Display, *rows: Row) -> None:
    for row in rows:
        display.show(row)


def test_lines_when_only_the_percentage_moves_are_not_repeated() -> None:
    notes, written = console()
    with Screen(notes=notes).progress(1) as display:
        show(
            display,
            Row("1", "a lamp", "queued", ahead=2),
            Row("1", "", "running", "drawing", 10),
            Row("1", "", "running", "drawing", 50),
            Row("1", "", "running", "storing", 90),
            Row("1", "", "succeeded", "", 100),
        )
    assert written.getvalue().splitlines() == [
        "a lamp: queued, 2 before it",
        "a lamp: 10 % drawing",
        "a lamp: 90 % storing",
        "a lamp: succeeded",
    ]


def test_lines_when_a_title_is_long_or_hostile_are_cut_and_harmless() -> None:
    notes, written = console()
    with Screen(notes=notes).progress(1) as display:
        show(display, Row("1", "\x1b[2J[bold]red\nmoon" + "x" * 100, "queued"))
    line = written.getvalue()
    assert "\x1b" not in line
    assert "[bold]red moon" in line
    assert len(line) < 70


def test_bars_when_on_a_terminal_show_each_job() -> None:
    notes, written = console(terminal=True)
    with Screen(notes=notes).progress(2) as display:
        show(
            display,
            Row("1", "one [x]", "running", "drawing", 10),
            Row("2", "two", "succeeded", "", 100),
        )
    assert "one [x]" in written.getvalue()
    assert "two" in written.getvalue()


def test_bars_when_there_are_many_jobs_are_one_sum() -> None:
    notes, written = console(terminal=True)
    with Screen(notes=notes).progress(100) as display:
        show(display, *(Row(str(number), "job", "succeeded", "", 100) for number in range(40)))
    assert "40 of 100 done" in written.getvalue()
    assert "100 jobs" in written.getvalue()


def test_result_when_written_goes_to_stdout_whole(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().result("x" * 300)
    Screen().document({"prompt": "Füchse"})
    assert capsys.readouterr().out == f'{"x" * 300}\n{{\n  "prompt": "Füchse"\n}}\n'


def test_clean_when_text_has_control_characters_loses_only_those() -> None:
    assert clean("ä\x07\x1b[31m\u202ered\n") == "ä  [31m red\n"
