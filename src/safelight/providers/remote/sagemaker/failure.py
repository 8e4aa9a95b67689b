"""Maps errors of AWS and of the model's container to our errors. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from safelight.errors import SafelightError
from safelight.json_object import as_object
from safelight.providers.errors import (
    ProviderBadInput,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    ProviderRejected,
    ProviderUnauthorized,
    ProviderWorkFailed,
)
from safelight.providers.remote.api import Answer, wait_of

_EXCERPT = 500
_MAX_TEXT = 64 * 1024
# Details for the operator only: log groups, resources, the account number.
_PRIVATE = re.compile(
    r"\s*See https?://\S+ in account \d+ for more information\.?|https?://\S+|arn:aws\S*|\b\d{12}\b"
)
_STATUS = re.compile(r"Received (?:client|server) error \((\d{1,3})\)")
_OF_CONTRACT = re.compile(r'\{\s*"error"\s*:\s*\{')
_OUT_OF_MEMORY = re.compile(r"out of memory|OutOfMemory|CUDA OOM", re.IGNORECASE)
_EXPIRED = re.compile(r"\bexpired\b|\bTTL\b", re.IGNORECASE)
_TIMED_OUT = re.compile(r"timed? ?out", re.IGNORECASE)

_BY_CODE: Mapping[str, type[ProviderError]] = {
    "Throttling": ProviderRateLimited,
    "ThrottlingException": ProviderRateLimited,
    "ThrottledException": ProviderRateLimited,
    "TooManyRequestsException": ProviderRateLimited,
    "RequestLimitExceeded": ProviderRateLimited,
    "ModelNotReadyException": ProviderRateLimited,
    "AccessDenied": ProviderUnauthorized,
    "AccessDeniedException": ProviderUnauthorized,
    "ExpiredToken": ProviderUnauthorized,
    "ExpiredTokenException": ProviderUnauthorized,
    "IncompleteSignature": ProviderUnauthorized,
    "InvalidClientTokenId": ProviderUnauthorized,
    "InvalidSignatureException": ProviderUnauthorized,
    "MissingAuthenticationTokenException": ProviderUnauthorized,
    "SignatureDoesNotMatch": ProviderUnauthorized,
    "UnrecognizedClientException": ProviderUnauthorized,
    # A missing endpoint or a wrong setting: a retry does not help.
    "ValidationError": ProviderRejected,
    "ValidationException": ProviderRejected,
    "InternalDependencyException": ProviderError,
    "InternalFailure": ProviderError,
    "InternalServerException": ProviderError,
    "ModelError": ProviderError,
    "ServiceUnavailable": ProviderError,
    "ServiceUnavailableException": ProviderError,
}


def explain(answer: Answer) -> SafelightError | None:
    """Return the error that AWS's response identifies, or None if it is unknown."""
    document: object = answer.document
    fields = as_object(document)
    named = answer.headers.get("x-amzn-errortype") or fields.get("__type") or fields.get("code")
    code = str(named or "").partition(":")[0].rpartition("#")[2]
    kind = _BY_CODE.get(code)
    if kind is None:
        return None
    said = str(fields.get("message") or fields.get("Message") or "")
    return kind(f"SageMaker says {code}: {public(said)}", retry_after=wait_of(answer))


def error_of(text: str) -> ProviderError:
    """Return the error of a failed request, by its text; it is always final."""
    text = text[:_MAX_TEXT]
    told = _of_contract(text)
    if told is not None:
        return error_told(told)
    detail = f"The endpoint failed: {public(text)}"
    if _OUT_OF_MEMORY.search(text):
        return _out_of_memory(detail)
    if _EXPIRED.search(text):
        return ProviderWorkFailed("The request expired in the endpoint's queue.", reason="expired")
    if _TIMED_OUT.search(text):
        return ProviderRejected(f"The model took too long. {detail}", reason="timed_out")
    status = _STATUS.search(text)
    return ProviderRejected(detail, reason=f"status_{status[1]}" if status else "failed")


def error_told(told: Mapping[str, Any]) -> ProviderError:
    """Parse our containers' `{"error": {"code", "message"}}`."""
    message = public(str(told.get("message", "")))
    match told.get("code"):
        case "bad_input":
            return ProviderBadInput(message)
        case "content_refused":
            return ProviderRefused(message, categories=_words(told.get("categories")))
        case "out_of_memory":
            return _out_of_memory(message)
        case _:
            return ProviderRejected(f"The endpoint failed: {message}", reason="failed")


def _out_of_memory(detail: str) -> ProviderError:
    # Requests are not charged individually, and a retry may find the GPU free.
    return ProviderWorkFailed(f"The model ran out of memory. {detail}", reason="out_of_memory")


def public(text: str) -> str:
    """Return the beginning of `text`, without details for the operator only."""
    return _PRIVATE.sub("…", text.replace("\x00", "")).strip()[:_EXCERPT]


def _of_contract(text: str) -> Mapping[str, Any] | None:
    # SageMaker embeds the container's body in a sentence, sometimes with escaped quotes.
    for candidate in (text, text.replace('\\"', '"')):
        found = _OF_CONTRACT.search(candidate)
        if found:
            try:
                document, _ = json.JSONDecoder().raw_decode(candidate, found.start())
            except (ValueError, RecursionError):
                continue
            return cast("Mapping[str, Any]", document["error"])
    return None


def _words(value: object) -> list[str]:
    return (
        [str(word)[:100] for word in cast("list[object]", value)[:20]]
        if isinstance(value, list)
        else []
    )
