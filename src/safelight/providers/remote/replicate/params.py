"""Translates between our params and a model's input fields."""

import math
import re
from collections.abc import Mapping
from typing import Any

from safelight.json_object import JsonObject
from safelight.providers.errors import ProviderBadInput
from safelight.providers.remote.replicate.fields import Fields, Sizing, ratio_of
from safelight.providers.remote.replicate.schema import DIALECT, Rule, rules_of

_SIZE: Mapping[str, Any] = {
    "type": "string",
    "pattern": "^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$",
    "title": "Size",
}
_NEAREST = "WIDTHxHEIGHT; the nearest aspect ratio is used."
_SIDES = ("width", "height")
_THEIR_JPEG = "jpg"
_OUR_JPEG = "jpeg"


def params_schema(schema: Mapping[str, Any], fields: Fields) -> JsonObject:
    """Return the schema of a job's params: all fields but prompt and inputs."""
    ours = {theirs: name for name, theirs in fields.params.items()}
    shown: dict[str, Rule] = {}
    for name, rule in rules_of(schema).items():
        if name == fields.prompt or name in fields.of_files or rule.get("format") == "password":
            continue
        if fields.sizing is Sizing.SIDES and name in _SIDES:
            shown.setdefault("size", _size_of_sides(rules_of(schema)))
            continue
        shown[ours.get(name, name)] = _our_format(rule) if ours.get(name) == "format" else rule
        if fields.sizing is Sizing.RATIO and name == "aspect_ratio":
            shown["size"] = {**_SIZE, "description": _NEAREST}
    wanted = [ours.get(name, name) for name in schema.get("required", ())]
    return {
        "$schema": DIALECT,
        "type": "object",
        "properties": shown,
        "required": [name for name in wanted if name in shown],
        "additionalProperties": False,
    }


def arguments(
    schema: Mapping[str, Any], fields: Fields, prompt: str, params: Mapping[str, Any]
) -> JsonObject:
    """Return the model's input without pictures, or raise `ProviderBadInput`."""
    rules = rules_of(schema)
    given = dict(params)
    size = given.pop("size", None) if fields.sizing is not Sizing.NONE else None
    found = {fields.params.get(name, name): value for name, value in given.items()}
    if fields.prompt and prompt:
        found[fields.prompt] = prompt
    if size is not None:
        found |= _sized(str(size), fields.sizing, rules, found)
    for ours, fit in (("seed", _fit_seed), ("format", _fit_format)):
        theirs = fields.params.get(ours, "")
        if theirs in found:
            found[theirs] = fit(found[theirs], rules[theirs])
    return found


def _size_of_sides(rules: Mapping[str, Rule]) -> Rule:
    width, height = (rules[side] for side in _SIDES)
    rule = {**_SIZE, "description": f"WIDTHxHEIGHT in pixels{_span(width)}."}
    usual = f"{width.get('default')}x{height.get('default')}"
    # A default such as 0 means that the model decides.
    if re.fullmatch(rule["pattern"], usual, re.ASCII) and "aspect_ratio" not in rules:
        rule["default"] = usual
    return rule


def _span(side: Rule) -> str:
    if "minimum" not in side or "maximum" not in side:
        return ""
    return f", each {side['minimum']} to {side['maximum']}"


def _our_format(rule: Rule) -> Rule:
    changed = dict(rule)
    if "enum" in rule:
        changed["enum"] = list(dict.fromkeys(_ours(value) for value in rule["enum"]))
    if "default" in rule:
        changed["default"] = _ours(rule["default"])
    return changed


def _ours(value: object) -> object:
    return _OUR_JPEG if value == _THEIR_JPEG else value


def _fit_format(value: object, rule: Rule) -> object:
    known = rule.get("enum", ())
    return _THEIR_JPEG if value == _OUR_JPEG and _THEIR_JPEG in known else value


def _fit_seed(value: object, rule: Rule) -> object:
    """Reduce a seed to the model's range; our seeds have 32 bits."""
    most = rule.get("maximum")
    if not isinstance(value, int) or not isinstance(most, int) or most < 1:
        return value
    return value % (most + 1) if value > most else value


def _sized(size: str, sizing: Sizing, rules: Mapping[str, Rule], found: JsonObject) -> JsonObject:
    """Return the fields for a size, which takes precedence over an aspect ratio."""
    read = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", size, re.ASCII)
    if not read:
        raise ProviderBadInput("A size is WIDTHxHEIGHT in pixels.")
    width, height = int(read[1]), int(read[2])
    ratios = rules.get("aspect_ratio", {}).get("enum", ())
    if sizing is Sizing.RATIO:
        return {"aspect_ratio": _nearest(width / height, ratios)}
    found.pop("aspect_ratio", None)
    free = {"aspect_ratio": "custom"} if "custom" in ratios else {}
    return {"width": width, "height": height, **free}


def _nearest(wanted: float, ratios: list[Any]) -> str:
    known = {ratio: value for ratio in ratios if (value := ratio_of(ratio))}
    return min(known, key=lambda ratio: abs(math.log(known[ratio] / wanted)))
