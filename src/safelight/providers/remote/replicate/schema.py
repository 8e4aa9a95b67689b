"""Converts the OpenAPI description of a Replicate model's input to plain JSON Schema.

The result is draft 2020-12 without references, bounded in size, and limited to keywords that forms
and validators both support; a vendor's other keywords are dropped.
"""

import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import orjson

from safelight.json_object import JsonObject, as_object
from safelight.providers.remote.untrusted import as_list, is_object

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_MAX_BYTES = 64 * 1024
_MAX_PROPERTIES = 100
_MAX_RULES = 400  # of the whole input, including nested lists and objects
_MAX_DEPTH = 6
_MAX_HOPS = 16  # of chained references
_MAX_PARTS = 4000  # that rules are merged from
_MAX_ENUM = 500
_MAX_TITLE = 100
_MAX_DESCRIPTION = 1000

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_COMPONENT = "#/components/schemas/"
_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object"})
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_FORMATS = frozenset({"uri", "password"})
_EMPTY_WORDS = frozenset({"", "An enumeration."})  # placeholders of generators

Rule = JsonObject


def input_schema(openapi: object) -> Rule:
    """Return the schema of the model's input, or raise `ValueError`."""
    schemas = as_object(as_object(as_object(openapi).get("components")).get("schemas"))
    described = as_object(schemas.get("Input"))
    if not described:
        raise ValueError("The description has no input schema.")
    return _checked(_Cleaner(schemas).input(described))


def rules_of(schema: Mapping[str, Any]) -> Mapping[str, Rule]:
    """Return the rule of each property."""
    return schema.get("properties", {})


class _Cleaner:
    """Resolves the references of one description."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._left = _MAX_RULES
        self._parts = _MAX_PARTS

    def input(self, described: Mapping[str, Any]) -> Rule:
        flat = self._flat(described)
        rules = self._properties(flat, _MAX_DEPTH)
        # Properties without an order keep their position, after those with one.
        ordered = sorted(rules.items(), key=lambda one: one[1].get("order", len(rules)))
        return {
            "$schema": DIALECT,
            "type": "object",
            "properties": dict(ordered),
            "required": _required(flat, rules),
            "additionalProperties": False,
        }

    def _properties(self, flat: Mapping[str, Any], depth: int) -> dict[str, Rule]:
        described = as_object(flat.get("properties"))
        if len(described) > _MAX_PROPERTIES:
            raise ValueError(f"The input has more than {_MAX_PROPERTIES} properties.")
        return {
            name: self._rule(rule, depth)
            for name, rule in described.items()
            if _NAME.fullmatch(name) and is_object(rule)
        }

    def _rule(self, described: object, depth: int) -> Rule:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"The input has more than {_MAX_RULES} rules.")
        flat = self._flat(as_object(described))
        rule = _plain(flat)
        if depth > 0:
            rule |= self._inner(flat, rule, depth - 1)
        return _with_default(rule, flat)

    def _inner(self, flat: Mapping[str, Any], rule: Rule, depth: int) -> Rule:
        """Return the rules of a list's entries, of an object's properties, or of alternatives."""
        kind = rule.get("type")
        if kind == "array" and isinstance(flat.get("items"), dict):
            return {"items": self._rule(flat["items"], depth)}
        if kind == "object" and as_object(flat.get("properties")):
            rules = self._properties(flat, depth)
            required = _required(flat, rules)
            return {"properties": rules, "required": required, "additionalProperties": False}
        if kind is None and len(choices := _choices(flat)) > 1:
            return {"anyOf": [self._rule(choice, depth) for choice in choices]}
        return {}

    def _flat(self, rule: Mapping[str, Any], hops: int = _MAX_HOPS) -> Rule:
        """Return a rule merged with everything it refers to; its own keywords win."""
        self._parts -= 1
        if hops <= 0 or self._parts < 0:
            raise ValueError("The description has circular or too many references.")
        merged: Rule = {}
        if isinstance(reference := rule.get("$ref"), str):
            name = reference.removeprefix(_COMPONENT)
            merged |= self._flat(as_object(self._schemas.get(name)), hops - 1)
        parts = [as_object(part) for part in as_list(rule.get("allOf"))]
        choices = _choices(rule)
        for part in parts + (choices if len(choices) == 1 else []):
            merged |= self._flat(part, hops - 1)
        return merged | {name: value for name, value in rule.items() if name not in _SPENT}


_SPENT = frozenset({"$ref", "allOf"})


def _plain(flat: Mapping[str, Any]) -> Rule:
    """Return the keywords that are copied unchanged."""
    rule: Rule = {**_words(flat), **_kind(flat), **_bounds(flat)}
    if values := _enum(flat):
        rule["enum"] = values
    if isinstance(flat.get("format"), str) and flat["format"] in _FORMATS:
        rule["format"] = flat["format"]
    if _is_number(flat.get("x-order")):
        rule["order"] = flat["x-order"]
    return rule


def _words(flat: Mapping[str, Any]) -> Rule:
    words: Rule = {}
    title, description = flat.get("title"), flat.get("description")
    plain = title.replace("_", " ").strip()[:_MAX_TITLE] if isinstance(title, str) else ""
    if plain:
        words["title"] = plain[0].upper() + plain[1:]
    if isinstance(description, str) and description.strip() not in _EMPTY_WORDS:
        words["description"] = description.strip()[:_MAX_DESCRIPTION]
    return words


def _kind(flat: Mapping[str, Any]) -> Rule:
    told = flat.get("type")
    named = as_list(told) or [told]
    kinds = [kind for kind in named if isinstance(kind, str) and kind in _TYPES]
    if not kinds:
        return {}
    return {"type": kinds[0] if len(kinds) == 1 else kinds}


def _bounds(flat: Mapping[str, Any]) -> Rule:
    bounds = {name: flat[name] for name in _NUMBERS if _is_number(flat.get(name))}
    # In OpenAPI 3.0 exclusiveMinimum is a boolean and the bound is in minimum.
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if flat.get(exclusive) is True and bound in bounds:
            bounds[exclusive] = bounds.pop(bound)
    counts = {name: flat[name] for name in _COUNTS if _is_count(flat.get(name))}
    step = flat.get("multipleOf")
    return (
        bounds
        | counts
        | ({"multipleOf": step} if step is not None and _is_number(step) and step > 0 else {})
    )


def _enum(flat: Mapping[str, Any]) -> list[Any]:
    values = [value for value in as_list(flat.get("enum")) if isinstance(value, str | int | float)]
    if len(values) > _MAX_ENUM:
        raise ValueError(f"A property has more than {_MAX_ENUM} choices.")
    return values


def _with_default(rule: Rule, flat: Mapping[str, Any]) -> Rule:
    """Add the default if it is valid, since jobs are completed with it unchecked."""
    default = flat.get("default")
    if default is None:
        return rule
    try:
        fits = jsonschema_rs.is_valid(rule, default)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise ValueError("The description is not a valid schema.") from error
    return rule | {"default": default} if fits else rule


def _choices(flat: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the alternatives of a rule without null, which only marks it as optional."""
    told = as_list(flat.get("anyOf")) or as_list(flat.get("oneOf"))
    choices = [as_object(choice) for choice in told]
    return [choice for choice in choices if choice and choice.get("type") != "null"]


def _required(flat: Mapping[str, Any], rules: Mapping[str, Rule]) -> list[str]:
    return [
        name for name in as_list(flat.get("required")) if isinstance(name, str) and name in rules
    ]


def _checked(schema: Rule) -> Rule:
    try:
        encoded = orjson.dumps(schema)
        jsonschema_rs.validator_for(schema)
    except (orjson.JSONEncodeError, jsonschema_rs.ValidationError, ValueError) as error:
        raise ValueError("The description is not a valid schema.") from error
    if len(encoded) > _MAX_BYTES:
        raise ValueError(f"The description has more than {_MAX_BYTES} bytes.")
    return schema


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
