"""JSON objects of free form: params, metadata, facts, the documents of vendors."""

from typing import Any, TypeAlias, cast

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object with keys that Safelight does not define; its own documents are typed models."""


def as_object(value: object) -> JsonObject:
    """Return `value` if it is a JSON object, else an empty one: for documents of unknown shape."""
    return cast("JsonObject", value) if isinstance(value, dict) else {}
