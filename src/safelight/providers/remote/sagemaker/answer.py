"""Parses an endpoint's response: our container's JSON, a stock container's JSON, or raw bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from safelight.json_object import JsonObject, as_object
from safelight.media.errors import MediaEmpty
from safelight.media.sniff import HEAD_BYTES, sniff
from safelight.providers.errors import ProviderError, ProviderRejected
from safelight.providers.remote.sagemaker.failure import error_told
from safelight.providers.remote.untrusted import parse

_MOST = 64
_FACTS = ("timings", "model", "model_version")
# The names that stock containers use; ours use `images`.
_LISTS = ("images", "generated_images")
_SINGLE = "generated_image"


@dataclass(frozen=True, slots=True)
class Made:
    """One output: its base64, its `s3:` URL, or its bytes."""

    base64: str = ""
    s3: str = ""
    raw: bytes = b""
    facts: Mapping[str, Any] = field(default_factory=JsonObject)


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """The outputs of one request, or the endpoint's error."""

    made: tuple[Made, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=JsonObject)
    error: ProviderError | None = None


def read_answer(body: bytes) -> EndpointAnswer:
    """Parse the output object.

    Raises a `MediaError` or `ProviderError` for an unknown format, which is no verdict on the work.
    """
    if not body:
        raise MediaEmpty("The endpoint's response is empty.")
    media_type = sniff(body[:HEAD_BYTES]) or ""
    if media_type.startswith(("image/", "model/")):
        return EndpointAnswer((Made(raw=body),))
    document = parse(body)
    if document is None:
        raise ProviderError("The endpoint's response is neither a picture nor JSON.")
    if not isinstance(document, dict):
        raise ProviderError("The endpoint's response has an unknown format.")
    return _of_document(cast("JsonObject", document))


def _of_document(document: Mapping[str, Any]) -> EndpointAnswer:
    error: object = document.get("error")
    if isinstance(error, dict):
        return EndpointAnswer(error=error_told(cast("JsonObject", error)))
    if not document.keys() & {*_LISTS, _SINGLE}:
        raise ProviderError("The endpoint's response has an unknown format.")
    try:
        made = tuple(_made(entry) for entry in _entries(document))
    except ProviderRejected as verdict:
        return EndpointAnswer(error=verdict)
    if not made:
        return EndpointAnswer(error=ProviderRejected("The endpoint's response has no picture."))
    return EndpointAnswer(made, {name: document[name] for name in _FACTS if name in document})


def _entries(document: Mapping[str, Any]) -> list[object]:
    for name in _LISTS:
        found: object = document.get(name)
        if isinstance(found, list):
            entries = cast("list[object]", found)
            if len(entries) > _MOST:
                raise ProviderRejected(f"The endpoint's response has more than {_MOST} pictures.")
            return entries
    return [document[_SINGLE]] if _SINGLE in document else []


def _made(entry: object) -> Made:
    if isinstance(entry, str):
        return Made(base64=entry)
    fields = as_object(entry)
    given: object = fields.get("facts")
    facts = dict(as_object(given))
    if isinstance(fields.get("seed"), int):
        facts["seed"] = fields["seed"]
    match fields:
        case {"base64": str(text)}:
            return Made(base64=text, facts=facts)
        case {"s3": str(uri)}:
            return Made(s3=uri, facts=facts)
        case _:
            raise ProviderRejected("The endpoint's response has an unknown format.")
