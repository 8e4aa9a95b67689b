"""Says which entries of a file of settings are wrong, why, and which names are allowed there."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError

NO_FORMS: Mapping[str, str] = {}
_MOST_SAID = 5  # errors
_UNKNOWN = frozenset({"extra_forbidden", "unexpected_keyword_argument"})


def say(
    error: ValidationError, kind: Any, above: str = "", *, forms: Mapping[str, str] = NO_FORMS
) -> str:
    """Return the first errors of a table of the type `kind`, at the place `above`, as one line.

    `forms` are the meanings of regular expressions, for people.
    """
    found: list[str] = []
    for item in error.errors(include_input=False)[:_MOST_SAID]:
        place = ".".join(str(part) for part in (above, *item["loc"]) if part != "")
        reason = _reason(item, kind, forms)
        found.append(f"{place}: {reason}" if place else reason)
    return "; ".join(found)


def nearest(name: str, allowed: Sequence[str]) -> str:
    """Return a hint: the allowed name that is most like `name`, and all of them."""
    close = get_close_matches(name, allowed, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"{hint}Allowed: {', '.join(allowed)}."


def _reason(item: Mapping[str, Any], kind: Any, forms: Mapping[str, str]) -> str:
    if item["type"] in _UNKNOWN:
        *path, name = item["loc"]
        allowed = sorted(_names(_at(kind, path)))
        return f"unknown; {nearest(str(name), allowed)}" if allowed else "unknown"
    if item["type"] == "string_pattern_mismatch":
        return forms.get(str(item["ctx"]["pattern"]), str(item["msg"]))
    return str(item["msg"]).removeprefix("Value error, ")


def _at(kind: Any, path: Sequence[str | int]) -> Any:
    for part in path:
        kind = _below(kind, part)
    return kind


def _below(kind: Any, part: str | int) -> Any:
    """Return the type of one entry of a table or list; None if it is not known."""
    if get_origin(kind) is Annotated:
        return _below(get_args(kind)[0], part)
    if (known := _names(kind)).keys():
        return known.get(str(part))
    options = get_args(kind)
    if not options:
        return None
    if any(option is type(None) for option in options):
        return _below(options[0], part)
    return options[-1] if isinstance(part, str) else options[0]


def _names(kind: Any) -> Mapping[str, Any]:
    """Return the types of a table's entries by name; none if it has no fixed names."""
    if get_origin(kind) is Annotated:
        return _names(get_args(kind)[0])
    options = [option for option in get_args(kind) if option is not type(None)]
    if len(options) == 1 and type(None) in get_args(kind):
        return _names(options[0])
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        return {field.name: hints[field.name] for field in fields(kind) if field.init}
    return {}
