"""Parses SageMaker's notifications about finished requests. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from safelight.json_object import as_object


@dataclass(frozen=True, slots=True)
class Notice:
    """The end of one request. `output` is the URL of its result, if given."""

    attempt: str
    endpoint: str
    completed: bool
    reason: str = ""
    output: str = ""


def read_notice(message: str | bytes) -> Notice | None:
    """Parse a notification's message; None if it is of another kind."""
    fields = _object(message)
    status = fields.get("invocationStatus")
    attempt = fields.get("inferenceId")
    if status not in ("Completed", "Failed") or not isinstance(attempt, str):
        return None
    asked, answered = _within(fields, "requestParameters"), _within(fields, "responseParameters")
    return Notice(
        attempt=attempt,
        endpoint=str(asked.get("endpointName") or ""),
        completed=status == "Completed",
        reason=str(fields.get("failureReason") or ""),
        output=str(answered.get("outputLocation") or ""),
    )


def kept_notice(envelope: bytes | None) -> Notice | None:
    """Parse a proven callback, stored as received."""
    message = _object(envelope).get("Message") if envelope else None
    return read_notice(message) if isinstance(message, str) else None


def _object(text: str | bytes) -> Mapping[str, object]:
    try:
        document: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return as_object(document)


def _within(fields: Mapping[str, object], name: str) -> Mapping[str, object]:
    inner = fields.get(name)
    return as_object(inner)
