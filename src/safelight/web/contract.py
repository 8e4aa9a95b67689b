"""Declares what a route returns, for the OpenAPI document: `**returns(Job, WrongState)`.

Each function gives keyword arguments for a route's decorator. What follows from the route itself,
such as 401 where a key is needed, is added in web/openapi.py.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypedDict

from fastapi import Response
from pydantic import BaseModel

from safelight.errors import SafelightError
from safelight.json_object import JsonObject

JSON = "application/json"
PROBLEM = "application/problem+json"
BINARY = {"type": "string", "format": "binary"}


class Declared(TypedDict):
    """Arguments of a route's decorator."""

    status_code: int
    response_class: type[Response]
    responses: dict[int | str, JsonObject]
    openapi_extra: JsonObject


def returns(
    kind: type | None,
    *problems: type[SafelightError],
    status: int = 200,
    conditional: bool = False,
    headers: Iterable[str] = (),
    form: Mapping[str, Any] | None = None,
) -> Declared:
    """Declare a JSON document, or an empty body where `kind` is None.

    A `conditional` one has an `ETag`, and is a 304 for callers that send it back.
    """
    sent = [*headers, *(["ETag"] if conditional else [])]
    answers = {status: response(status, {JSON: {"schema": ref(kind)}} if kind else {}, sent)}
    if conditional:
        answers[304] = response(304, {}, ["ETag"])
    extra = {"requestBody": form} if form else {}
    return _declared(status, answers, problems, ["If-None-Match"] if conditional else [], extra)


def submits(
    *kinds: type, problems: Iterable[type[SafelightError]], form: Mapping[str, Any] | None = None
) -> Declared:
    """Declare a submission: 202 at once, or 200 if it finishes while the caller waits."""
    schemas = [ref(kind) for kind in kinds]
    content = {JSON: {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}
    sent = ("Location", "Idempotent-Replayed", "Preference-Applied")
    answers = {status: response(status, content, sent) for status in (202, 200)}
    extra = {"requestBody": form} if form else {}
    return _declared(202, answers, problems, ["Prefer"], extra)


def redirects(*problems: type[SafelightError]) -> Declared:
    """Declare a redirect to a file."""
    return _declared(303, {303: response(303, {}, ["Location"])}, problems)


def streams(snapshot: type, event: type, *problems: type[SafelightError]) -> Declared:
    """Declare server-sent events: one `snapshot`, then `event` after `event`."""
    data = {
        "type": "string",
        "contentMediaType": JSON,
        "contentSchema": {"anyOf": [ref(snapshot), ref(event)]},
    }
    name = {"type": "string", "description": "`snapshot`, or the event's `type`."}
    each = {
        "type": "object",
        "required": ["event", "data"],
        "properties": {"id": {"type": "string"}, "event": name, "data": data},
    }
    # Before 3.2 OpenAPI leaves open what this describes: readers take each event, or all the text.
    schema = {"anyOf": [each, {"type": "string"}]}
    answers = {
        200: response(200, {"text/event-stream": {"schema": schema}}),
        204: response(204, {}),
    }
    return _declared(200, answers, problems)


def sends(
    media_types: Iterable[str],
    *problems: type[SafelightError],
    parameters: Iterable[str] = (),
    headers: Iterable[str] = (),
    statuses: Iterable[int] = (),
) -> Declared:
    """Declare the bytes of a file; `statuses` are the success statuses besides 200."""
    content: JsonObject = {media_type: {"schema": BINARY} for media_type in media_types}
    answers = {200: response(200, content, headers)}
    for status in statuses:
        has_body = status == HTTPStatus.PARTIAL_CONTENT
        answers[status] = response(status, content if has_body else {}, headers)
    return _declared(200, answers, problems, parameters)


def form(fields: type[BaseModel], *, file: str, many: bool = False) -> JsonObject:
    """Declare a multipart body: files and a model's fields, with lists and objects as JSON."""
    properties: JsonObject = {
        file: {"type": "array", "items": BINARY, "minItems": 1} if many else BINARY
    }
    said = fields.model_json_schema(ref_template="#/components/schemas/{model}")
    for name, schema in said["properties"].items():
        properties[name] = _as_form_field(schema)
    schema = {"type": "object", "required": [file], "properties": properties}
    return {
        "required": True,
        "content": {"multipart/form-data": {"schema": schema | {"additionalProperties": False}}},
    }


def ref(kind: type) -> dict[str, str]:
    """Return a reference to a public document's schema."""
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def response(status: int, content: JsonObject, headers: Iterable[str] = ()) -> JsonObject:
    """Return one response of an operation."""
    found: JsonObject = {"description": HTTPStatus(status).phrase}
    if content:
        found["content"] = content
    named = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    return found | ({"headers": named} if named else {})


def refusals(problems: Iterable[type[SafelightError]]) -> dict[str, JsonObject]:
    """Return the responses for errors, by status, with an example for each code."""
    codes: dict[int, list[str]] = {}
    for problem in problems:
        codes.setdefault(problem.status, []).append(problem.code)
    return {
        str(status): {
            "description": f"{HTTPStatus(status).phrase}: {', '.join(found)}",
            "content": {
                PROBLEM: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in found},
                }
            },
        }
        for status, found in codes.items()
    }


def _declared(
    status: int,
    answers: Mapping[int, JsonObject],
    problems: Iterable[type[SafelightError]],
    parameters: Iterable[str] = (),
    extra: Mapping[str, Any] | None = None,
) -> Declared:
    named = [{"$ref": f"#/components/parameters/{name}"} for name in parameters]
    return {
        "status_code": status,
        "response_class": Response,  # this route declares its content itself
        "responses": {**answers, **refusals(problems)},
        "openapi_extra": {**(extra or {}), **({"parameters": named} if named else {})},
    }


def _as_form_field(schema: Mapping[str, Any]) -> JsonObject:
    choices = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if len(choices) == 1:
        schema = {**schema, **choices[0]}
    found = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    if found.get("type") not in ("array", "object"):
        return found
    text = {"type": "string", "contentMediaType": JSON, "contentSchema": found}
    return text | {"description": f"{found.get('description', '')} As JSON.".strip()}
