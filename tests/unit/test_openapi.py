"""The OpenAPI document: complete for every route, with client names and examples that fit."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from openapi_spec_validator import validate

from safelight import documents
from safelight.assets.asset import AssetKind
from safelight.errors import codes
from safelight.events import TYPES
from safelight.jobs.job import AttemptState, Ground, JobStatus, Outcome
from safelight.notifications.contact import Channel
from safelight.providers.provider import Kind, Lane, Role
from safelight.web.pages import PEOPLE
from safelight.webhooks.delivery import DeliveryState
from tests import documented

# Pages, links in mails, providers' callbacks, and two aliases of `GET /v1/jobs/{id}`.
HIDDEN = {
    *(f"/auth/oidc/{{provider}}/{step}" for step in ("start", "connect", "callback")),
    *(f"/{name}" for name in PEOPLE),
    "/",
    "/docs",
    "/favicon.ico",
    "/openapi.json",
    "/login",
    "/callbacks/{provider}/{token}",
    "/contacts/{contact_id}/confirm",
    "/contacts/{contact_id}/stop",
    "/v1/result/{job_id}",
    "/v1/status/{job_id}",
}
OPERATIONS = documented.operations()
PROBLEM = "application/problem+json"


def every_operation() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)


def responses(operation: documented.Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, response in operation.said["responses"].items():
        yield status, documented.resolved(response)


def check(schema: dict[str, Any], value: Any) -> None:
    components = {"schemas": documented.document()["components"]["schemas"]}
    whole = schema | {"components": components}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(value)


def test_document_when_held_against_the_standard_is_openapi_3_1() -> None:
    document = documented.document()
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_routes_when_they_are_not_pages_are_all_documented() -> None:
    routes = {
        (method, context.path_format)
        for context in iter_route_contexts(documented.application().routes)
        if isinstance(context.original_route, APIRoute)
        for method in context.methods or ()
    }
    said = {
        (method.upper(), path)
        for path, methods in documented.document()["paths"].items()
        for method in methods
    }
    assert {path for _, path in routes} - HIDDEN == {path for _, path in said}
    assert {each for each in routes if each[1] not in HIDDEN} - said == {("HEAD", "/files/{key}")}


def test_operations_when_named_have_names_of_their_own() -> None:
    names = [each.name for each in OPERATIONS]
    assert len(names) == len(set(names))
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []
    assert {"create_generation", "list_jobs", "cancel_job"} <= set(names)


def test_schemas_when_named_say_nothing_of_python() -> None:
    document = documented.document()
    odd = [name for name in document["components"]["schemas"] if "_" in name or "." in name]
    assert odd == []


@every_operation()
def test_operation_when_documented_is_whole(operation: documented.Operation) -> None:
    said = operation.said
    known = {tag["name"] for tag in documented.document()["tags"]}
    assert len(said["tags"]) == 1
    assert said["tags"][0] in known
    assert said["summary"]
    assert len(said["summary"]) <= 120
    found = dict(responses(operation))
    good = {status: each for status, each in found.items() if status < "400"}
    assert good
    for status, response in good.items():
        media_types = response.get("content", {})
        if status not in ("202", "204", "303", "304", "307"):
            assert media_types
        for media_type, content in media_types.items():
            if media_type == "application/json":
                assert content["schema"], status
    assert {"500"} <= set(found)
    if "security" in said:
        assert {"401", "403"} <= set(found)
    if "requestBody" in said:
        assert {"400", "413", "422"} <= set(found)
    if "{" in operation.path.pattern.replace(r"\{", "{") and "parameters" in said:
        assert "404" in found


@every_operation()
def test_problems_when_documented_are_errors_of_that_status(
    operation: documented.Operation,
) -> None:
    for status, response in responses(operation):
        for code in response.get("content", {}).get(PROBLEM, {}).get("examples", {}):
            assert str(codes()[code].status) == status


@every_operation()
def test_examples_when_given_fit_their_schemas(operation: documented.Operation) -> None:
    bodies = [operation.said["requestBody"]] if "requestBody" in operation.said else []
    for holder in (*bodies, *(response for _, response in responses(operation))):
        for media_type, content in holder.get("content", {}).items():
            if media_type == "application/json":
                check(content["schema"], content["example"])


def test_problem_examples_when_given_fit_the_schema() -> None:
    document = documented.document()
    for example in document["components"]["examples"].values():
        check({"$ref": "#/components/schemas/Problem"}, example["value"])


def test_submits_when_documented_tell_what_they_answer_with_and_without_waiting() -> None:
    found = {each.name: each for each in OPERATIONS}
    for name in ("create_generation", "create_import", "create_batch", "upload_batch"):
        said = dict(responses(found[name]))
        assert said["200"]["content"] == said["202"]["content"]
        assert "Location" in said["202"]["headers"]
        sent = {documented.resolved(each)["name"] for each in found[name].said["parameters"]}
        assert {"Prefer", "Idempotency-Key"} <= sent
        assert "idempotency_conflict" in said["409"]["content"][PROBLEM]["examples"]


def test_streams_when_documented_are_server_sent_events() -> None:
    streams = {
        each.name
        for each in OPERATIONS
        if "text/event-stream" in each.said["responses"].get("200", {}).get("content", {})
    }
    assert streams == {"follow_job", "follow_batch"}


@pytest.mark.parametrize(
    ("schema", "field", "values"),
    [
        ("Job", "status", {"running" if each == "waiting" else each for each in JobStatus}),
        ("Job", "kind", set(Kind)),
        ("JobSource", "role", set(Role)),
        ("Model", "lane", set(Lane)),
        ("Asset", "kind", set(AssetKind)),
        ("Contact", "channel", set(Channel)),
        ("Delivery", "state", set(DeliveryState)),
        ("Attempt", "state", set(AttemptState)),
        ("Attempt", "outcome", set(Outcome)),
        ("Attempt", "ground", set(Ground)),
    ],
)
def test_values_when_documented_are_all_that_there_are(
    schema: str, field: str, values: set[str]
) -> None:
    said = documented.document()["components"]["schemas"][schema]["properties"][field]
    choices = [each for each in said.get("anyOf", [said]) if "enum" in each]
    assert set(choices[0]["enum"]) == {str(each) for each in values}


def test_documents_when_listed_are_all_in_the_document() -> None:
    assert set(documents.__all__) <= set(documented.document()["components"]["schemas"])
    assert TYPES
