"""Maps Replicate's problem documents and the models' error texts to our errors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Self, cast

from safelight.errors import SafelightError
from safelight.json_object import as_object
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    ProviderRejected,
    ProviderWorkFailed,
    UnknownOutcome,
)
from safelight.providers.remote.api import Answer, refusal, wait_of

_LONGEST = 500  # characters of a message
_MOST_FIELDS = 20
_MAX_WAIT = timedelta(days=1)


# There is no error code for moderation, only free text. The words must express a verdict, since a
# model may also fail to load its safety checker.
_REFUSALS: Mapping[str, re.Pattern[str]] = {
    "nsfw": re.compile(r"\bnsfw\b", re.IGNORECASE),
    "sensitive": re.compile(
        r"\bE005\b|flagged as (?:\w+ ){0,3}sensitive|sensitive content", re.IGNORECASE
    ),
    "policy": re.compile(
        r"content polic(?:y|ies)|usage polic(?:y|ies)|violat\w+ .{0,60}polic|prohibited content"
        r"|inappropriate content|content (?:was |has been |is )?(?:flagged|blocked|filtered"
        r"|moderated)|content moderation|flagged by",
        re.IGNORECASE,
    ),
    "safety": re.compile(
        r"safety (?:filter|system|guideline|polic)"
        r"|safety checker (?:has )?(?:detected|flagged|blocked|triggered)"
        r"|blocked .{0,40}safety|\bsafety violation",
        re.IGNORECASE,
    ),
}
# Failures of Replicate's machines, which a retry may avoid.
_GIVEN_UP = re.compile(
    r"prediction interrupted|please retry|\(code: PA\)|out of memory|health ?check|\bE8765\b"
    r"|\bE9243\b|director: unexpected error|unable to start|timed out starting",
    re.IGNORECASE,
)
_BAD_INPUT = re.compile(r"input validation (?:error|failed)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """An RFC 9457 problem document of Replicate."""

    text: str
    errors: tuple[Mapping[str, str], ...]
    wait: timedelta | None

    @classmethod
    def read(cls, document: object) -> Self | None:
        """Parse `document`; None if it is no problem document."""
        told = as_object(document)
        words = [told.get("title"), told.get("detail")]
        text = ": ".join(word.strip() for word in words if isinstance(word, str) and word.strip())
        if not text:
            return None
        return cls(clean(text), _fields(told.get("invalid_fields")), _wait(told.get("retry_after")))


def explain(answer: Answer, *, pays: bool) -> SafelightError | None:
    """Return the error of an unsuccessful response, or None if its status is enough."""
    problem = Problem.read(answer.document)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        waits = [wait for wait in (wait_of(answer), problem and problem.wait) if wait]
        text = f"The provider says: {problem.text}" if problem else ""
        return ProviderRateLimited(text, retry_after=max(waits, default=None))
    if problem is None:
        return _unexplained(answer, pays=pays)
    kind = type(refusal(answer, pays=pays))
    detail = f"The provider says: {problem.text}"
    if kind is ProviderBadInput and (categories := moderation(problem.text)):
        return ProviderRefused(detail, categories=categories)
    return kind(detail, errors=problem.errors, retry_after=wait_of(answer))


def failure(text: str) -> ProviderError:
    """Return the error of failed work, by the model's error text."""
    detail = f"The provider says: {clean(text)}" if text else "The provider gives no reason."
    if categories := moderation(text):
        return ProviderRefused(detail, categories=categories)
    if _BAD_INPUT.search(text[:_LONGEST]):
        return ProviderBadInput(detail)
    return (ProviderWorkFailed if _GIVEN_UP.search(text[:_LONGEST]) else ProviderRejected)(detail)


def moderation(text: str) -> list[str]:
    """Return the moderation categories in a text; empty if it is no moderation verdict."""
    return [name for name, words in _REFUSALS.items() if words.search(text[: 4 * _LONGEST])]


def clean(text: str) -> str:
    """Return a vendor's text, truncated and safe to store."""
    return text.replace("\x00", "").strip()[:_LONGEST]


def _unexplained(answer: Answer, *, pays: bool) -> SafelightError | None:
    """Tell an error of the API itself, after which nothing was started, from one of a proxy."""
    broken = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)
    if pays and answer.status in broken:
        return UnknownOutcome(
            f"A proxy in front of the provider responded with status {answer.status}."
        )
    return None


def _fields(told: object) -> tuple[Mapping[str, str], ...]:
    entries = cast("list[object]", told) if isinstance(told, list) else []
    found = [
        (str(entry.get("field", "")), str(entry.get("description", "")))
        for entry in map(as_object, entries[:_MOST_FIELDS])
    ]
    return tuple(
        {"field": clean(name).removeprefix("input."), "message": clean(message)}
        for name, message in found
    )


def _wait(seconds: object) -> timedelta | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        return None
    return timedelta(seconds=min(float(seconds), _MAX_WAIT.total_seconds()))
