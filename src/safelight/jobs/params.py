"""Validates params against a model's JSON schema, and fills in its defaults. Pure."""

import secrets
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Any

import jsonschema_rs
import orjson

from safelight.errors import InvalidRequest
from safelight.json_object import JsonObject
from safelight.providers.provider import Model

SEED_BITS = 32


def complete_params(model: Model, given: Mapping[str, Any]) -> JsonObject:
    """Return `given` with the model's defaults and a seed, or raise `InvalidRequest`.

    A generated seed is stored with the job like a given one, so that every result is reproducible.
    """
    validator = _validator(orjson.dumps(model.params_schema))
    errors = [
        {
            "field": ".".join(str(part) for part in problem.instance_path) or _culprit(problem),
            "message": _say(problem, model.params_schema),
        }
        for problem in validator.iter_errors(dict(given))
    ]
    if errors:
        raise InvalidRequest(f"The model {model.id!r} does not take these params.", errors=errors)
    properties: Mapping[str, Any] = model.params_schema.get("properties", {})
    params = {
        name: deepcopy(schema["default"])
        for name, schema in properties.items()
        if "default" in schema
    } | dict(given)
    if "seed" in properties and "seed" not in params:
        params["seed"] = secrets.randbits(SEED_BITS)
    return params


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(orjson.loads(schema))


def _culprit(problem: jsonschema_rs.ValidationError) -> str:
    """Return the field that a whole-object error concerns, such as an unknown one."""
    unexpected = getattr(problem.kind, "unexpected", None)
    return ", ".join(unexpected) if unexpected else "params"


def _say(problem: jsonschema_rs.ValidationError, schema: Mapping[str, Any]) -> str:
    if getattr(problem.kind, "unexpected", None):
        return "unknown field"
    if problem.kind.name == "pattern":  # a regular expression means nothing to most people
        rule = _rule_at(schema, problem.schema_path[:-1])
        if told := rule.get("description") or ", ".join(map(str, rule.get("examples", ()))):
            return f"{problem.instance!r:.80} is not valid: {told}"
    return problem.message[:300]


def _rule_at(schema: Any, path: Sequence[str | int]) -> Mapping[str, Any]:
    for part in path:
        schema = schema[part]
    return schema
