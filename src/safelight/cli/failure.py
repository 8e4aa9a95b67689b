"""The ways a command fails: one clear line on stderr, and an exit code that scripts can tell apart.

1  the job failed or was canceled, or the server could not do it
2  what was typed cannot be done as it stands
3  no server answers
130  interrupted
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

INTERRUPTED = 130
_MOST_FIELDS = 5

Received = Mapping[str, Any]
"""A problem document, or what a proxy on the way answered instead, which may lack any field."""


class Failure(Exception):
    """The command did not do what it was asked; the message is the line that the user reads."""

    exit_code: ClassVar[int] = 1


class Interrupted(Failure):
    """Ctrl-C ended the command; the message says what is left."""

    exit_code = INTERRUPTED


class BadUse(Failure):
    """The command line is invalid."""

    exit_code = 2


class Unreachable(Failure):
    """No server answers, or it went away."""

    exit_code = 3


class Refused(Failure):
    """The server answered with a problem."""

    def __init__(self, problem: Received) -> None:
        self.status = problem.get("status", int(HTTPStatus.INTERNAL_SERVER_ERROR))
        self.code = problem.get("code", "")
        self.retry_after_s = problem.get("retry_after_s", 0.0)
        super().__init__(say(problem))


class RefusedInput(Refused, BadUse):
    """The server answered that the request itself is at fault."""


def refusal(problem: Received) -> Refused:
    """Return the failure that `problem` means to a user."""
    mendable = problem.get("status", 0) < HTTPStatus.INTERNAL_SERVER_ERROR
    return RefusedInput(problem) if mendable else Refused(problem)


def say(problem: Received) -> str:
    """Return `problem` as one line: what it is, why, and which fields."""
    title, detail = problem.get("title", "Failed"), problem.get("detail", "")
    text = f"{title}: {detail}" if detail and detail != title else title
    fields = [_say_field(error) for error in problem.get("errors", [])]
    if len(fields) > _MOST_FIELDS:
        fields = [*fields[:_MOST_FIELDS], f"and {len(fields) - _MOST_FIELDS} more"]
    return " ".join(f"{text} ({'; '.join(fields)})".split()) if fields else " ".join(text.split())


def _say_field(error: Mapping[str, object]) -> str:
    where = error.get("name") or error.get("field")
    return f"{where}: {error.get('message')}" if where else str(error.get("message"))
