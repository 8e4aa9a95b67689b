"""Extracts result URLs and facts from a model's output."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

from safelight.fetch import Fetcher
from safelight.json_object import JsonObject
from safelight.providers.errors import ProviderError, ProviderRefused, ProviderRejected
from safelight.providers.remote import results

_LISTS = ("images", "image", "output")
# Most detailed first; older Tripo models name outputs by level of detail.
_MODELS = ("pbr_model", "model_mesh", "base_model", "model_glb", "model")
_PREVIEW = "rendered_image"
_FACTS = ("seed", "prompt", "task_id")
_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Made:
    """The result URLs of an output, in order, and its facts."""

    addresses: tuple[str, ...]
    facts: Mapping[str, Any]
    preview: str = ""

    @classmethod
    def read(cls, output: Mapping[str, Any], *, makes_models: bool) -> Self:
        """Parse an output.

        Raises `ProviderRejected` or `ProviderRefused` if it has no result, and a plain
        `ProviderError` if its format is unknown.
        """
        if not output.keys() & {*_LISTS, *_MODELS, *_FACTS}:
            raise ProviderError("The provider's response has an unknown format.")
        facts = {
            name: _short(output[name]) for name in _FACTS if output.get(name) not in (None, "")
        }
        if makes_models:
            return cls(_model_in(output), facts, next(iter(_addresses(output.get(_PREVIEW))), ""))
        addresses = [address for name in _LISTS for address in _addresses(output.get(name))]
        flags = _flags(output, len(addresses))
        if addresses and all(flags):
            raise ProviderRefused("The provider withheld the result.", categories=["nsfw"])
        kept = [address for address, held in zip(addresses, flags, strict=True) if not held]
        if not kept:
            raise ProviderRejected("The provider finished without a picture.")
        held = {"held_back": len(addresses) - len(kept)} if len(kept) < len(addresses) else {}
        return cls(tuple(kept), facts | held)


async def bring(fetcher: Fetcher, made: Made, folder: Path) -> results.Brought:
    """Download everything, since fal's URLs expire. Raises as `results.bring` does."""
    brought = await results.bring_all(fetcher, made.addresses, folder)
    if not made.preview:
        return brought
    preview = await results.bring(fetcher, made.preview, folder / "preview")
    return replace(brought, files=(replace(brought.files[0], preview=preview.path),))


def _model_in(output: Mapping[str, Any]) -> tuple[str, ...]:
    addresses = [address for name in _MODELS for address in _addresses(output.get(name))]
    if not addresses:
        raise ProviderRejected("The provider finished without a 3D model.")
    return (addresses[0],)


def _addresses(value: object) -> list[str]:
    """Return the URLs of one or several files, each an object or a string."""
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, dict):
        return _addresses(cast("JsonObject", value).get("url"))
    if isinstance(value, list):
        return [found for one in cast("list[object]", value) for found in _addresses(one)]
    return []


def _flags(output: Mapping[str, Any], count: int) -> list[bool]:
    """Return for each picture whether fal's safety checker blacked it out."""
    told = output.get("has_nsfw_concepts")
    flags = cast("list[object]", told) if isinstance(told, list) else []
    return [place < len(flags) and flags[place] is True for place in range(count)]


def _short(value: object) -> object:
    return value[:_LONGEST] if isinstance(value, str) else value
