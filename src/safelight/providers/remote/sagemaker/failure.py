"""What the words of AWS and of the model's container mean: one of our errors. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from safelight.errors import SafelightError
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
# What is the operator's affair: log groups, resources, the account's number.
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
    # Of an endpoint that is not there, or of what the settings make us send: nothing mends itself.
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
    """Return the error that AWS names in its answer, None where it names none that we know."""
    document: object = answer.document
    fields = cast("dict[str, object]", document) if isinstance(document, dict) else {}
    named = answer.headers.get("x-amzn-errortype") or fields.get("__type") or fields.get("code")
    code = str(named or "").partition(":")[0].rpartition("#")[2]
    kind = _BY_CODE.get(code)
    if kind is None:
        return None
    said = str(fields.get("message") or fields.get("Message") or "")
    return kind(f"SageMaker says {code}: {public(said)}", retry_after=wait_of(answer))


def error_of(text: str) -> ProviderError:
    """Return what a failed request's own words mean; never one that another look could mend."""
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
    """Return the error that our containers' `{"error": {"code", "message"}}` tells."""
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
    # Nothing is charged by the request, and the next one may find the GPU empty.
    return ProviderWorkFailed(f"The model ran out of memory. {detail}", reason="out_of_memory")


def public(text: str) -> str:
    """Return the beginning of `text` without what is the operator's affair."""
    return _PRIVATE.sub("…", text.replace("\x00", "")).strip()[:_EXCERPT]


def _of_contract(text: str) -> Mapping[str, Any] | None:
    # SageMaker quotes the container's body within a sentence, sometimes with its quotes escaped.
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
