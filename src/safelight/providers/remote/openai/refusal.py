"""Maps OpenAI's error objects, in responses and streams, to our errors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Self

from safelight.errors import SafelightError
from safelight.json_object import as_object
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderOutOfCredit,
    ProviderRateLimited,
    ProviderRefused,
    ProviderRejected,
    ProviderUnauthorized,
    UnknownOutcome,
)
from safelight.providers.remote.api import Answer, wait_of

_LONGEST = 500  # characters of a message
_MAX_WAIT = timedelta(days=1)

_BY_WORD: Mapping[str, type[ProviderError]] = {
    "moderation_blocked": ProviderRefused,
    "content_policy_violation": ProviderRefused,
    "insufficient_quota": ProviderOutOfCredit,
    "billing_hard_limit_reached": ProviderOutOfCredit,
    "billing_not_active": ProviderOutOfCredit,
    "invalid_api_key": ProviderUnauthorized,
    "rate_limit_exceeded": ProviderRateLimited,
}
# Only for errors without a status.
_BY_KIND: Mapping[str, type[ProviderError]] = {
    "server_error": ProviderError,
    "invalid_request_error": ProviderBadInput,
    "image_generation_user_error": ProviderBadInput,
    "authentication_error": ProviderUnauthorized,
    "permission_error": ProviderUnauthorized,
}
_CATEGORIES = re.compile(r"safety_violations=\[([^\]]{1,500})\]")
_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """OpenAI's error object: `code` is exact, `kind` (their `type`) is coarse."""

    message: str
    code: str
    kind: str

    @classmethod
    def read(cls, document: object) -> Self | None:
        """Return the error object in `document`, if there is one."""
        error = as_object(document).get("error")
        if isinstance(error, str) and error:
            return cls(error[:_LONGEST], "", "")
        told = as_object(error)
        if not told:
            return None
        message, code, kind = (told.get(name) for name in ("message", "code", "type"))
        return cls(str(message or "No reason given.")[:_LONGEST], _word(code), _word(kind))

    def named(self) -> type[ProviderError] | None:
        """Return the error class that OpenAI's code identifies exactly."""
        return _BY_WORD.get(self.code) or _BY_WORD.get(self.kind)

    def error(self, kind: type[ProviderError], wait: timedelta | None = None) -> ProviderError:
        """Return an error of class `kind`."""
        detail = f"The provider says: {self.message}"
        if kind is ProviderRefused:
            return ProviderRefused(detail, categories=self._categories())
        return kind(detail, retry_after=wait)

    def _categories(self) -> list[str]:
        found = _CATEGORIES.search(self.message)
        words = found[1].split(",") if found else []
        return [word.strip(" '\"") for word in words if word.strip(" '\"")]


def explain(answer: Answer) -> SafelightError | None:
    """Return the error of an unsuccessful response, or None if its status is enough."""
    complaint = Complaint.read(answer.document)
    named = complaint.named() if complaint else None
    if complaint and named and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return complaint.error(named, wait(answer) if named is ProviderRateLimited else None)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProviderRateLimited(complaint.message if complaint else "", retry_after=wait(answer))
    if answer.status in (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE):
        return _broken(answer)
    return None


def _broken(answer: Answer) -> SafelightError | None:
    """Tell an error of the API itself, after which nothing was done, from one of a proxy."""
    if isinstance(answer.document, dict):
        return None
    return UnknownOutcome(
        f"A proxy in front of the provider responded with status {answer.status}."
    )


def told_in_success(document: object) -> ProviderError | None:
    """Return the error in a stream event or in a successful response, if there is one."""
    complaint = Complaint.read(document)
    if complaint is None:
        return None
    kind = complaint.named() or _BY_KIND.get(complaint.kind) or _BY_KIND.get(complaint.code)
    return complaint.error(kind or ProviderRejected)


def wait(answer: Answer) -> timedelta | None:
    """Return how long OpenAI asks to wait, by the first header that says so."""
    milliseconds = answer.headers.get("retry-after-ms", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", milliseconds, re.ASCII):
        return min(timedelta(milliseconds=float(milliseconds)), _MAX_WAIT)
    return wait_of(answer) or _until_reset(answer.headers)


def _until_reset(headers: Mapping[str, str]) -> timedelta | None:
    """Return when all exhausted rate limits reset, or the earliest reset if none is exhausted."""
    spans = {
        name: span
        for name in ("requests", "tokens", "images")
        if (span := _span(headers.get(f"x-ratelimit-reset-{name}", ""))) is not None
    }
    used_up = [
        span
        for name, span in spans.items()
        if headers.get(f"x-ratelimit-remaining-{name}", "").strip() == "0"
    ]
    return max(used_up) if used_up else min(spans.values(), default=None)


def _span(text: str) -> timedelta | None:
    """Parse a duration such as `6m0s` or `20ms`; a bare number is in seconds."""
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII):
        text += "s"
    if not re.fullmatch(rf"(?:{_SPAN.pattern}){{1,5}}", text, re.ASCII):
        return None
    parts = (float(number) * _UNITS[unit] for number, unit in _SPAN.findall(text))
    return min(sum(parts, timedelta()), _MAX_WAIT)


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""
