"""Params held against a model's JSON schema, and completed by its defaults. Pure."""

import secrets
from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

import jsonschema_rs
import orjson

from safelight.errors import InvalidRequest
from safelight.providers.provider import Model

SEED_BITS = 32


def complete_params(model: Model, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` with the model's defaults and a seed, or raise `InvalidRequest`.

    A drawn seed is recorded with the job like a given one, so that every result can be made again.
    """
    validator = _validator(orjson.dumps(model.params_schema))
    errors = [
        {
            "field": ".".join(str(part) for part in problem.instance_path) or _culprit(problem),
            "message": _say(problem),
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
    """Name the field that a whole-object rule is about, such as an unknown one."""
    unexpected = getattr(problem.kind, "unexpected", None)
    return ", ".join(unexpected) if unexpected else "params"


def _say(problem: jsonschema_rs.ValidationError) -> str:
    if getattr(problem.kind, "unexpected", None):
        return "unknown field"
    return problem.message[:300]
