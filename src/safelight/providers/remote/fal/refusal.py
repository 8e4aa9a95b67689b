"""Maps fal's errors, in responses, statuses and webhooks, to our errors."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import cast

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
    ProviderWorkFailed,
)
from safelight.providers.price import NOT_TOLD, Usage
from safelight.providers.provider import Failed
from safelight.providers.remote.api import Answer, wait_of
from safelight.providers.remote.untrusted import as_list

_LONGEST = 500  # characters of a message
_MAX_ERRORS = 10
_WORDS: Mapping[str, type[ProviderError]] = {
    "content_policy_violation": ProviderRefused,
    "no_media_generated": ProviderRejected,
    "image_too_small": ProviderBadInput,
    "image_too_large": ProviderBadInput,
    "image_load_error": ProviderBadInput,
    "file_download_error": ProviderBadInput,
    "file_too_large": ProviderBadInput,
    "unsupported_image_format": ProviderBadInput,
    "face_detection_error": ProviderBadInput,
}
# Failures of a fal runner; no server that returns a result uses these words about itself.
_OF_RUNNERS = {
    "generation_timeout",
    "request_timeout",
    "startup_timeout",
    "runner_scheduling_failure",
    "runner_connection_timeout",
    "runner_disconnected",
    "runner_connection_refused",
    "runner_server_error",
}
# Failures of fal's own machines, which are returned as 5xx and not charged:
# https://fal.ai/docs/model-apis/model-endpoints/reliability
_GIVEN_UP = _OF_RUNNERS | {
    "internal_server_error",
    "internal_error",
    "downstream_service_error",
    "downstream_service_unavailable",
}


def explain(answer: Answer) -> SafelightError | None:
    """Return the error of an unsuccessful response, or None if its status is enough."""
    told = complaint(answer.document, answer.headers.get("x-fal-error-type", ""))
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProviderRateLimited(said(answer.document), retry_after=wait_of(answer))
    if answer.status == HTTPStatus.FORBIDDEN and "balance" in said(answer.document).lower():
        return ProviderOutOfCredit(f"The provider says: {said(answer.document)}")
    return told if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR else None


def failed(document: object, usage: Usage = NOT_TOLD, error_type: str = "") -> Failed:
    """Return the verdict on a request that ended without a result."""
    error = complaint(document, error_type) or ProviderRejected(
        f"The provider says: {said(document) or error_type or 'the work failed.'}"
    )
    return Failed(error, 0 if isinstance(error, ProviderWorkFailed) else None, usage)


def is_verdict(answer: Answer) -> bool:
    """Return whether an error response is the model's verdict, and not a failed poll.

    The result endpoint of a completed request responds with the model's own status
    (https://fal.ai/docs/inference-api/queue/result), which is 422 if the model rejects its input.
    Other statuses may also come from a proxy, a rotated key, or an expired result.
    """
    told = as_object(answer.document)
    if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return bool(told.get("detail"))
    word = told.get("error_type") or answer.headers.get("x-fal-error-type")
    return answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and word in _OF_RUNNERS


def complaint(document: object, error_type: str = "") -> ProviderError | None:
    """Return the error that fal identifies exactly, in a body's `detail` or by `error_type`."""
    told = as_object(document)
    problems = _problems(told.get("detail"))
    words = [str(told.get("error_type") or error_type), *(problem["type"] for problem in problems)]
    detail = f"The provider says: {said(document) or words[0]}"
    for word in words:
        if kind := _WORDS.get(word):
            return kind(detail, categories=[word]) if kind is ProviderRefused else kind(detail)
    if problems:
        fields = [{"field": one["field"], "message": one["message"]} for one in problems]
        return ProviderBadInput(detail, errors=fields)
    if words[0] in ("unauthorized", "forbidden"):
        return ProviderUnauthorized(detail)
    return ProviderWorkFailed(detail) if words[0] in _GIVEN_UP else None


def said(document: object) -> str:
    """Return fal's error message, empty if there is none."""
    told = as_object(document)
    problems = _problems(told.get("detail"))
    if problems:
        return "; ".join(f"{one['field']}: {one['message']}" for one in problems)[:_LONGEST]
    for name in ("detail", "error", "payload_error", "message"):
        if isinstance(told.get(name), str):
            return _clean(told[name])
    return ""


def _problems(detail: object) -> list[dict[str, str]]:
    """Return the validation errors, one per field."""
    if not isinstance(detail, list):
        return []
    found = [as_object(one) for one in cast("list[object]", detail)[:_MAX_ERRORS]]
    return [
        {
            "field": ".".join(str(part) for part in as_list(one.get("loc")) if part != "body"),
            "message": _clean(str(one.get("msg", ""))),
            "type": str(one.get("type", "")),
        }
        for one in found
        if one
    ]


def _clean(text: str) -> str:
    return text.replace("\x00", "")[:_LONGEST]
