"""Compares real traffic with the OpenAPI document: a hook for the clients of tests."""

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import httpx2
import jsonschema_rs
import orjson
from fastapi import FastAPI

from safelight.web import openapi, server

if TYPE_CHECKING:
    from safelight.web.services import Services

_OPEN = frozenset({"Problem"})  # an error may say more than every problem does
_PATHS_WITH_SLASHES = frozenset({"/files/{key}"})


@dataclass(frozen=True)
class Operation:
    """One documented operation: how its path looks, and what is said of it."""

    name: str
    method: str
    path: re.Pattern[str]
    said: dict[str, Any]


@cache
def application() -> FastAPI:
    """Return the application with all its routes and nothing behind them."""
    return server.build(cast("Services", SimpleNamespace()), version="test")


@cache
def document() -> dict[str, Any]:
    """Return the published document."""
    return openapi.build(application())


def prepare() -> None:
    """Build the document before the first response is held against it: that takes 0.3 s."""
    operations()
    _strict_schemas()


async def check(answer: httpx2.Response) -> None:
    """Fail unless the answer is as documented; other servers and pages are let pass."""
    operation = find(answer.request.method, answer.request.url.path)
    if operation is None:
        return
    where = f"{operation.name}: {answer.status_code}"
    responses = operation.said["responses"]
    assert str(answer.status_code) in responses, f"{where} is not documented"
    response = resolved(responses[str(answer.status_code)])
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    content: dict[str, Any] = response.get("content", {})
    if answer.status_code == httpx2.codes.NOT_MODIFIED or answer.request.method == "HEAD":
        return
    if not content:
        assert not media_type, f"{where} has an undocumented body of {media_type}"
        return
    assert media_type in content, f"{where} as {media_type} is not documented"
    if media_type.endswith("json"):
        await answer.aread()
        body = answer.json()
        faults = list(_faults(content[media_type]["schema"], body, strictly=True))
        assert not faults, f"{where} does not fit its schema: {faults}"
        if media_type == "application/problem+json":
            examples = content[media_type]["examples"]
            assert body["code"] in examples, f"{where} with {body['code']} is not documented"
    if answer.is_success:
        _check_request(operation, answer.request)


def _check_request(operation: Operation, request: httpx2.Request) -> None:
    """Fail where a body that was taken does not fit its schema: that must not be too narrow."""
    said = operation.said.get("requestBody", {}).get("content", {})
    if "application/json" in said:
        schema = said["application/json"]["schema"]
        faults = list(_faults(schema, orjson.loads(request.content), strictly=False))
        assert not faults, f"{operation.name} took what does not fit its schema: {faults}"
    named = {resolved(each)["name"] for each in operation.said.get("parameters", ())}
    unknown = set(request.url.params) - named
    assert not unknown, f"{operation.name} took undocumented parameters: {unknown}"


def find(method: str, path: str) -> Operation | None:
    """Return the operation that a request is one of."""
    wanted = "GET" if method == "HEAD" else method
    return next(
        (each for each in operations() if each.method == wanted and each.path.fullmatch(path)), None
    )


@cache
def operations() -> tuple[Operation, ...]:
    """Return all operations, those with the fewest variables in their path first."""
    found = [
        Operation(said["operationId"], method.upper(), _pattern(path), said)
        for path, methods in document()["paths"].items()
        for method, said in methods.items()
    ]
    return tuple(sorted(found, key=lambda each: each.path.pattern.count("(")))


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference stands for, or the part itself."""
    while "$ref" in part:
        _, kind, name = part["$ref"].removeprefix("#").rsplit("/", 2)
        part = document()["components"][kind][name]
    return part


def _pattern(path: str) -> re.Pattern[str]:
    within = ".+" if path in _PATHS_WITH_SLASHES else "[^/]+"
    parts = re.split(r"(\{\w+\})", path)
    return re.compile(
        "".join(f"({within})" if part.startswith("{") else re.escape(part) for part in parts)
    )


def _faults(schema: dict[str, Any], value: Any, *, strictly: bool) -> Iterator[str]:
    validator = _validator(orjson.dumps(schema), strictly=strictly)
    for error in validator.iter_errors(value):
        yield f"{'.'.join(map(str, error.instance_path))}: {error.message[:300]}"


@cache
def _validator(schema: bytes, *, strictly: bool) -> jsonschema_rs.Draft202012Validator:
    components = {"schemas": _strict_schemas() if strictly else document()["components"]["schemas"]}
    whole = orjson.loads(schema) | {"components": components}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


@cache
def _strict_schemas() -> dict[str, Any]:
    """Return the schemas with nothing allowed that they do not name."""
    schemas = deepcopy(document()["components"]["schemas"])
    for name, schema in schemas.items():
        if "properties" in schema and name not in _OPEN:
            schema["additionalProperties"] = False
    return schemas
