"""The report holds each failure once, is no spreadsheet's formula, and replaces only itself."""

import csv
from pathlib import Path

import pytest

from safelight.cli.failure import BadUse
from safelight.cli.imports.report import COLUMNS, Report


def row(**given: str) -> dict[str, str]:
    return dict.fromkeys(COLUMNS, "") | given


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_report_when_nothing_failed_is_no_file(tmp_path: Path) -> None:
    report = Report(tmp_path / "f.csv")
    report.add([])
    assert not report.path.exists()


def test_report_when_rows_come_in_turn_has_one_head(tmp_path: Path) -> None:
    report = Report(tmp_path / "f.csv")
    report.add([row(line="1", message='a "b",\nc')])
    report.add([row(line="2")])
    assert report.length == report.path.stat().st_size
    assert [(one["line"], one["message"]) for one in read(report.path)] == [
        ("1", 'a "b",\nc'),
        ("2", ""),
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "'x", '=cmd|"/c calc"!A1'])
def test_report_when_a_cell_could_be_a_formula_quotes_it(tmp_path: Path, text: str) -> None:
    report = Report(tmp_path / "f.csv")
    report.add([row(name=text, message="\ud800")])
    assert read(report.path)[0]["name"] == f"'{text}"


def test_report_when_a_killed_run_wrote_more_has_that_once(tmp_path: Path) -> None:
    report = Report(tmp_path / "f.csv")
    report.add([row(line="1")])
    known = report.length
    report.add([row(line="2"), row(line="3")])

    again = Report(report.path, known)
    again.add([row(line="2")])

    assert [one["line"] for one in read(report.path)] == ["1", "2"]


def test_report_when_its_file_was_taken_away_begins_another(tmp_path: Path) -> None:
    report = Report(tmp_path / "f.csv", 500)
    report.add([row(line="2")])
    assert [one["line"] for one in read(report.path)] == ["2"]


def test_report_when_begun_anew_replaces_a_report_and_nothing_else(tmp_path: Path) -> None:
    Report(tmp_path / "f.csv").add([row(line="1")])
    assert not Report(tmp_path / "f.csv").path.exists()
    (tmp_path / "precious.csv").write_text("url\nhttps://a.example\n")
    with pytest.raises(BadUse, match="--failures"):
        Report(tmp_path / "precious.csv")
    assert (tmp_path / "precious.csv").exists()
