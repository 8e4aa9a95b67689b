"""Problems become one line and the right exit code."""

from typing import Any

import pytest

from safelight.cli.failure import refusal, say


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (
            {"title": "Not found", "detail": "There is no such job."},
            "Not found: There is no such job.",
        ),
        ({"title": "Not found", "detail": "Not found"}, "Not found"),
        ({}, "Failed"),
        (
            {"title": "Bad", "detail": "See\nbelow.", "errors": [{"field": "n", "message": "no"}]},
            "Bad: See below. (n: no)",
        ),
        (
            {"title": "Bad", "errors": [{"message": "no"}] * 7},
            "Bad (no; no; no; no; no; and 2 more)",
        ),
        (
            {"title": "Bad", "errors": [{"field": "files.0", "name": "a.png", "message": "no"}]},
            "Bad (a.png: no)",
        ),
    ],
)
def test_problem_when_said_is_one_line(problem: dict[str, Any], line: str) -> None:
    assert say(problem) == line


@pytest.mark.parametrize(
    ("status", "exit_code"), [(422, 2), (401, 2), (404, 2), (503, 1), (507, 1)]
)
def test_refusal_when_the_request_is_at_fault_exits_with_2(status: int, exit_code: int) -> None:
    assert refusal({"title": "Bad", "status": status}).exit_code == exit_code
