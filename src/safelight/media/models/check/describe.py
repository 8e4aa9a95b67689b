"""Parses the JSON of a glTF: within limits, typed, and without references to other files."""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from safelight.media.errors import MediaError, MediaTruncated, MediaUnsupported
from safelight.media.models.check.document import Document
from safelight.media.models.check.facts import ModelRules

_INSIDE = "data:"
_LISTS = (
    "accessors",
    "animations",
    "bufferViews",
    "buffers",
    "extensionsRequired",
    "extensionsUsed",
    "materials",
    "meshes",
    "samplers",
    "scenes",
    "skins",
    "textures",
)


def describe(text: bytes, rules: ModelRules) -> Document:
    """Return the parsed JSON.

    Raises `MediaTruncated` if it is not a glTF, `MediaUnsupported` if it refers to other files,
    and `MediaError` if it exceeds a limit.
    """
    try:
        words = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise MediaTruncated("The 3D file's description is not valid JSON.") from None
    _check_references(words)
    _check_lists(words, rules)
    try:
        return Document.model_validate(words)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise MediaTruncated(
            f"The 3D file's description is wrong at {place}: {first['msg']}."
        ) from None


def _check_lists(words: Mapping[str, Any], rules: ModelRules) -> None:
    """Raise `MediaError` if any list is longer than its limit."""
    limits = dict.fromkeys(_LISTS, rules.max_parts)
    limits |= {"nodes": rules.max_nodes, "images": rules.max_textures}
    for name, most in limits.items():
        there = words.get(name, [])
        if isinstance(there, list) and len(there) > most:  # pyright: ignore[reportUnknownArgumentType]
            raise MediaError(f"The 3D file has more than {most} {name}.")


def _check_references(words: Any) -> None:
    try:
        named = [*words.get("buffers", []), *words.get("images", [])]
        addresses = [str(item.get("uri", "")) for item in named]
    except (AttributeError, TypeError):
        raise MediaTruncated("The 3D file's description is not one of a glTF.") from None
    if any(address and not address.startswith(_INSIDE) for address in addresses):
        raise MediaUnsupported("The 3D file refers to other files.")
