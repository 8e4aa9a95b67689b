"""Looks up paths such as `images.*.url` in a JSON document."""

from collections.abc import Iterable
from typing import cast

_EACH = "*"


def find(document: object, place: str) -> list[object]:
    """Return every value at a path, in order, without nulls.

    A path is a dotted list of field names and list indices; `*` matches every entry. The empty path
    is the document itself.
    """
    found = [document]
    for step in place.split(".") if place else ():
        found = [below for one in found for below in _below(one, step)]
    return [one for one in found if one is not None]


def first(document: object, place: str) -> object:
    """Return the first value at a path, or None."""
    return next(iter(find(document, place)), None)


def word(document: object, place: str) -> str:
    """Return the text or number at a path as text; empty if there is neither."""
    found = first(document, place) if place else None
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return ""
    return str(found)


def _below(value: object, step: str) -> Iterable[object]:
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        if step == _EACH:
            return fields.values()
        return (fields[step],) if step in fields else ()
    if isinstance(value, list):
        entries = cast("list[object]", value)
        if step == _EACH:
            return entries
        place = int(step) if step.isascii() and step.isdigit() and len(step) < 10 else -1  # noqa: PLR2004
        return entries[place : place + 1] if place >= 0 else ()
    return ()
