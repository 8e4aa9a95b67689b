"""Fills a JSON template: strings of the form `$name` are replaced, as a whole only."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import cast

_NAME = re.compile(r"\$([A-Za-z_][\w-]*(?:\.[\w-]+)*)", re.ASCII)
_ESCAPED = "$$"

ValueOf = Callable[[str], object]


def fill(tree: object, value_of: ValueOf) -> object:
    """Return `tree` with each `$name` replaced by its value, of any type.

    A name whose value is None is dropped from its object or list. `$$` at the start of a string
    escapes a dollar sign.
    """
    if isinstance(tree, dict):
        fields = cast("dict[str, object]", tree)
        filled = {key: fill(value, value_of) for key, value in fields.items()}
        return {key: value for key, value in filled.items() if _stays(fields[key], value)}
    if isinstance(tree, list | tuple):
        entries = cast("list[object]", tree)
        pairs = [(entry, fill(entry, value_of)) for entry in entries]
        return [value for entry, value in pairs if _stays(entry, value)]
    if not isinstance(tree, str):
        return tree
    if found := _NAME.fullmatch(tree):
        return value_of(found[1])
    return tree[1:] if tree.startswith(_ESCAPED) else tree


def names(tree: object, place: str) -> Iterator[tuple[str, str]]:
    """Yield every name that `tree` uses, with the place of each, beginning with `place`."""
    if isinstance(tree, Mapping):
        for key, value in cast("Mapping[str, object]", tree).items():
            yield from names(value, f"{place}.{key}")
    elif isinstance(tree, list | tuple):
        for index, entry in enumerate(cast("list[object]", tree)):
            yield from names(entry, f"{place}.{index}")
    elif isinstance(tree, str) and (found := _NAME.fullmatch(tree)):
        yield found[1], place


def _stays(asked: object, value: object) -> bool:
    """Return whether a value is sent; an explicit null of the template is."""
    return value is not None or asked is None
