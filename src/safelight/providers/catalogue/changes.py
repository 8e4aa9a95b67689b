"""Applies the catalogue's overrides to models."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import jsonschema_rs

from safelight.mistakes import nearest
from safelight.providers.catalogue.catalogue import Change
from safelight.providers.errors import CatalogueInvalid
from safelight.providers.provider import Model


def changed(models: Iterable[Model], changes: Mapping[str, Change]) -> list[Model]:
    """Return the offered models, each with its overrides from `changes`.

    Raises `CatalogueInvalid` for an override of a missing model, or one that does not fit it.
    """
    installed = list(models)
    if unknown := sorted(set(changes) - {model.id for model in installed}):
        hint = nearest(unknown[0], sorted(model.id for model in installed))
        raise CatalogueInvalid(f"models.{unknown[0]}: no installed provider has it; {hint}")
    return [
        _changed(model, changes.get(model.id, Change()))
        for model in installed
        if changes.get(model.id, Change()).enabled
    ]


def _changed(model: Model, change: Change) -> Model:
    return replace(
        model,
        title=model.title if change.title is None else change.title,
        description=model.description if change.description is None else change.description,
        params_schema=_schema(model, change),
        timeout=change.timeout_s or model.timeout,
        repeatable=model.repeatable if change.repeatable is None else change.repeatable,
        price=model.price if change.price is None else change.price,
        accounts=model.accounts if change.accounts is None else change.accounts,
    )


def _schema(model: Model, change: Change) -> Mapping[str, Any]:
    rules: dict[str, Mapping[str, Any]] = dict(model.params_schema.get("properties", {}))
    named = {*change.params, *change.defaults, *change.fixed}
    if unknown := sorted(named - rules.keys()):
        hint = nearest(unknown[0], sorted(rules))
        raise CatalogueInvalid(f"models.{model.id}: it has no param {unknown[0]!r}; {hint}")
    for name in named:
        rule = {**rules[name], **change.params.get(name, {})}
        if name in change.defaults:
            rule["default"] = change.defaults[name]
        if name in change.fixed:
            rule |= {"const": change.fixed[name], "default": change.fixed[name]}
        rules[name] = rule
        _check(model, name, rule)
    return {**model.params_schema, "properties": rules}


def _check(model: Model, name: str, rule: Mapping[str, Any]) -> None:
    try:
        fits = "default" not in rule or jsonschema_rs.is_valid(dict(rule), rule["default"])
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise CatalogueInvalid(f"models.{model.id}.params.{name}: {error}") from None
    if not fits:
        value = rule["default"]
        raise CatalogueInvalid(f"models.{model.id}: {value!r} is not a valid default of {name}.")
