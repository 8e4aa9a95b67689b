"""Publishes the OpenAPI document from the routes' declarations."""

import asyncio
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, cast

import orjson
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from safelight import documents, errors
from safelight.accounts.errors import AccountSuspended, Unauthenticated
from safelight.errors import SafelightError
from safelight.identity.errors import IssuerUnavailable, LoginOff
from safelight.json_object import JsonObject
from safelight.web.contract import JSON, PROBLEM, refusals
from safelight.web.errors import KeyInUrl, Misdirected, TooLarge, TooManyRequests

URL = "/openapi.json"

TAGS = [
    {"name": "submit", "description": "Start jobs."},
    {"name": "jobs", "description": "List, follow, cancel, redrive and delete jobs."},
    {"name": "batches", "description": "Several jobs as one."},
    {"name": "assets", "description": "Pictures and 3D models that are stored."},
    {"name": "files", "description": "The bytes of assets."},
    {"name": "webhooks", "description": "Notify programs."},
    {"name": "contacts", "description": "Notify people."},
    {"name": "account", "description": "Your account, its models, usage and audit log."},
    {"name": "people", "description": "Logins, members and invitations."},
    {"name": "operations", "description": "Run the installation."},
    {"name": "health", "description": "Probes, metrics, and what error codes mean."},
]
_REF = "#/components/schemas/{model}"
_MOMENT = "2026-11-30T12:00:00.000000Z"
_PARAMETERS: Mapping[str, tuple[str, JsonObject]] = {
    "Prefer": (
        "`wait=N` waits up to N seconds for the result (RFC 7240).",
        {"type": "string", "examples": ["wait=30"]},
    ),
    "If-None-Match": ("An earlier `ETag`: 304 if nothing changed.", {"type": "string"}),
    "Range": ("Part of the file (RFC 9110).", {"type": "string", "examples": ["bytes=0-1023"]}),
}
_HEADERS: Mapping[str, tuple[str, JsonObject]] = {
    "ETag": ("Send it back as `If-None-Match`.", {"type": "string"}),
    "Location": ("Where to go on.", {"type": "string"}),
    "Idempotent-Replayed": (
        "`true` if this key's request had been received before.",
        {"type": "string", "const": "true"},
    ),
    "Preference-Applied": ("The wait that was granted.", {"type": "string"}),
    "Retry-After": ("Seconds to wait before trying again.", {"type": "string"}),
    "WWW-Authenticate": ("How to authenticate.", {"type": "string"}),
    "Accept-Ranges": ("Parts of the file can be requested.", {"type": "string"}),
    "Content-Range": ("Which part of the file this is.", {"type": "string"}),
    "Content-Disposition": ("The name to save it under.", {"type": "string"}),
    "X-Request-ID": ("Id of the request, for logs and support.", {"type": "string"}),
}
_FRAMEWORKS = "HTTPValidationError"  # FastAPI's own refusal
_ON_STATUS = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}


def install(app: FastAPI) -> None:
    """Publish the document at `URL`, built in a thread when it is first requested."""
    made: list[bytes] = []

    @app.api_route(URL, methods=["GET", "HEAD"], include_in_schema=False)
    async def openapi() -> Response:
        if not made:
            document = await asyncio.to_thread(build, app)
            if public_url := app.state.services.hosts.public_url:
                document["servers"] = [{"url": public_url}]
            made.append(orjson.dumps(document))
        return Response(made[0], media_type=JSON)

    _ = openapi


def operation_id(route: APIRoute) -> str:
    """Return the name that clients give an operation: its function's."""
    return route.name


def build(app: FastAPI) -> JsonObject:
    """Return the OpenAPI 3.1 document of `app`."""
    document: JsonObject = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=TAGS,
    )
    components = document["components"]
    bodies, made = components["schemas"], _schemas()
    if clash := bodies.keys() & made.keys():
        raise ValueError(f"Bodies and documents share names: {clash}")
    components["schemas"] = _named(bodies | made)
    components["headers"] = {
        name: {"description": words, "schema": schema} for name, (words, schema) in _HEADERS.items()
    }
    components["parameters"] = {
        name: {"name": name, "in": "header", "description": words, "schema": schema}
        for name, (words, schema) in _PARAMETERS.items()
    }
    codes: set[str] = set()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            _complete(path, operation, components["schemas"])
            codes |= _codes_of(operation)
    components["examples"] = {code: _problem_example(code) for code in sorted(codes)}
    components["responses"] = _share_refusals(document["paths"])
    return document


def _named(schemas: JsonObject) -> JsonObject:
    """Remove FastAPI's error schemas, which no route here returns."""
    unused = (_FRAMEWORKS, "ValidationError")
    return {name: schemas[name] for name in sorted(schemas) if name not in unused}


class _Plain(GenerateJsonSchema):
    """A schema generator without field titles, which only repeat the names."""

    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return False


def _schemas() -> JsonObject:
    kinds: list[Any] = [getattr(documents, name) for name in documents.__all__]
    # One type, so that each schema is built once.
    every: Any = reduce(lambda one, other: one | other, kinds)
    adapter: TypeAdapter[Any] = TypeAdapter(every)
    found = adapter.json_schema(ref_template=_REF, schema_generator=_Plain, mode="serialization")
    return found["$defs"]


def _complete(path: str, operation: JsonObject, schemas: JsonObject) -> None:
    summary, _, rest = operation.get("description", "").partition("\n")
    operation["summary"] = summary.rstrip(".")
    operation.pop("description", None)
    if rest.strip():
        operation["description"] = rest.strip()
    responses: JsonObject = operation["responses"]
    for status, refusal in refusals(_implied(path, operation)).items():
        _merge(responses.setdefault(status, {}), refusal)
    operation["responses"] = {status: responses[status] for status in sorted(responses)}
    for status, response in operation["responses"].items():
        sent = response.setdefault("headers", {})
        for name in ("X-Request-ID", *filter(None, [_ON_STATUS.get(status)])):
            sent[name] = {"$ref": f"#/components/headers/{name}"}
        _add_example(response, schemas)
    _add_example(operation.get("requestBody", {}), schemas)


def _implied(path: str, operation: JsonObject) -> Iterable[type[SafelightError]]:
    """Yield the errors that follow from what an operation takes."""
    yield SafelightError
    yield Misdirected
    yield KeyInUrl
    if operation["tags"] != ["health"]:
        yield errors.ServiceError
    if "security" in operation:
        yield Unauthenticated
        yield IssuerUnavailable
        yield errors.Forbidden
        yield AccountSuspended
        yield LoginOff
        yield TooManyRequests
    if "{" in path:
        yield errors.NotFound
    if "requestBody" in operation:
        yield errors.RequestError
        yield TooLarge
    if "requestBody" in operation or "parameters" in operation:
        yield errors.InvalidRequest


def _merge(response: JsonObject, refusal: JsonObject) -> None:
    """Add the codes of `refusal` to what the route declared for that status."""
    declared = _examples(response)
    examples = declared | _examples(refusal)
    phrase = refusal["description"].partition(":")[0]
    content = response.get("content", {}) | refusal["content"]
    if _FRAMEWORKS in str(content.get(JSON)):  # by default, and sent by no route here
        del content[JSON]
    response.update(refusal)
    response["description"] = f"{phrase}: {', '.join(examples)}"
    response["content"] = content
    response["content"][PROBLEM]["examples"] = examples


def _examples(response: JsonObject) -> JsonObject:
    return response.get("content", {}).get(PROBLEM, {}).get("examples", {})


def _codes_of(operation: JsonObject) -> set[str]:
    return {code for response in operation["responses"].values() for code in _examples(response)}


def _share_refusals(paths: JsonObject) -> JsonObject:
    """Move each refusal to the components, under a name made of its codes."""
    shared: JsonObject = {}
    for methods in paths.values():
        for operation in methods.values():
            responses: JsonObject = operation["responses"]
            for status, response in responses.items():
                if list(response.get("content", {})) == [PROBLEM]:
                    name = ".".join(sorted(_examples(response)))
                    shared[name] = response
                    responses[status] = {"$ref": f"#/components/responses/{name}"}
    return shared


def _problem_example(code: str) -> JsonObject:
    kind = errors.codes()[code]
    return {"summary": kind.title, "value": kind().problem()}


def _add_example(holder: JsonObject, schemas: JsonObject) -> None:
    content = holder.get("content", {}).get(JSON)
    if content is not None:
        content["example"] = example_of(content["schema"], schemas)


def example_of(schema: JsonObject, schemas: Mapping[str, JsonObject]) -> Any:
    """Return a value that fits `schema`, of the examples that its fields give."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "examples" in schema:
        return schema["examples"][0]
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        choices = cast("list[JsonObject]", schema["anyOf"])
        nullable = any(each.get("type") == "null" for each in choices)
        return None if nullable else example_of(choices[0], schemas)
    return _plain_example(schema, schemas)


def _plain_example(schema: JsonObject, schemas: Mapping[str, JsonObject]) -> Any:
    match schema.get("type"):
        case "object":
            properties: Mapping[str, JsonObject] = schema.get("properties", {})
            wanted = schema.get("required", ())
            return {name: example_of(properties[name], schemas) for name in wanted}
        case "array":
            items: JsonObject = schema.get("items", {})
            return [example_of(items, schemas)] if "$ref" in items else []
        case "string":
            return _MOMENT if schema.get("format") == "date-time" else "text"
        case "boolean":
            return False
        case "integer" | "number":
            return schema.get("minimum", 0)
        case _:
            return None
