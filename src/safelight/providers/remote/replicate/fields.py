"""Maps a job's prompt, pictures, mask and params to the fields of a model's input."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from safelight.providers.provider import Role
from safelight.providers.remote.replicate.schema import Rule, rules_of

_PROMPT = ("prompt", "text_prompt", "positive_prompt", "text", "caption")
_PICTURE = (
    "image",
    "input_image",
    "image_prompt",
    "init_image",
    "source_image",
    "reference_image",
    "image_input",
    "subject_image",
    "main_image",
    "image_url",
    "img",
)
_PICTURES = ("images", "input_images", "image_input", "reference_images", "image_prompts", "image")
_MASK = ("mask", "mask_image", "image_mask", "inpaint_mask")
_NUMBERED = re.compile(r"(?:input_|reference_)?image_?[0-9]{1,2}", re.ASCII)
_NO_PICTURE = re.compile(r"audio|video|voice|speech|song|lora|weight|model|mask|file|zip|control")
VIEWS = (Role.FRONT, Role.LEFT, Role.BACK, Role.RIGHT)
# Our name of a param, and the models' names for it.
_PARAMS: Mapping[str, tuple[str, ...]] = {
    "n": ("n", "num_outputs", "num_images", "number_of_images", "num_samples"),
    "seed": ("seed",),
    "format": ("format", "output_format", "image_format"),
    "negative_prompt": ("negative_prompt", "negative"),
}
_OWN = frozenset({"prompt", "picture", "pictures", "mask", *VIEWS, *_PARAMS})


class Sizing(Enum):
    """How a size such as 1024x768 is passed to the model."""

    NONE = "none"  # no field, or one already named size
    SIDES = "sides"  # as width and height
    RATIO = "ratio"  # as the nearest of the model's aspect ratios


@dataclass(frozen=True, slots=True)
class Fields:
    """Field names, empty if there is none. `pictures` take one each, `many` takes a list."""

    prompt: str = ""
    pictures: tuple[str, ...] = ()
    many: str = ""
    mask: str = ""
    views: Mapping[Role, str] = field(default_factory=dict[Role, str])
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    sizing: Sizing = Sizing.NONE

    @property
    def of_files(self) -> frozenset[str]:
        """The fields that take the job's inputs."""
        return frozenset({*self.pictures, self.many, self.mask, *self.views.values()} - {""})


def fields_of(schema: Mapping[str, Any], named: Mapping[str, str]) -> Fields:
    """Return the field mapping; `named` takes precedence over guesses.

    Raises `ValueError` if `named` has an unknown key, or a field that the model lacks.
    """
    rules = rules_of(schema)
    for ours, theirs in named.items():
        if ours not in _OWN or theirs not in rules:
            raise ValueError(f"The field {theirs!r} cannot take {ours!r}.")
    singles = [name for name, rule in rules.items() if _is_address(rule)]
    lists = [name for name, rule in rules.items() if _is_address(rule.get("items", {}))]
    mask = named.get("mask") or _first(_MASK, singles)
    views = _views(singles, named)
    free = [name for name in singles if name != mask and name not in views.values()]
    return Fields(
        prompt=named.get("prompt") or _first(_PROMPT, rules),
        pictures=_pictures(free, named.get("picture", "")),
        many=named.get("pictures") or _first(_PICTURES, lists) or _only(lists),
        mask=mask,
        views=views,
        params={
            ours: found
            for ours, known in _PARAMS.items()
            if (found := named.get(ours) or _first(known, rules))
        },
        sizing=_sizing(rules),
    )


def ratio_of(text: object) -> float | None:
    """Return width divided by height of a ratio such as 16:9."""
    found = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})", str(text), re.ASCII)
    if not found or not int(found[1]) or not int(found[2]):
        return None
    return int(found[1]) / int(found[2])


def _is_address(rule: Rule) -> bool:
    return rule.get("type") == "string" and rule.get("format") == "uri"


def _views(singles: list[str], named: Mapping[str, str]) -> dict[Role, str]:
    found = {
        role: named.get(role) or next((name for name in singles if role in name.split("_")), "")
        for role in VIEWS
    }
    return {role: name for role, name in found.items() if name}


def _pictures(free: list[str], named: str) -> tuple[str, ...]:
    first = named or _first(_PICTURE, free)
    numbered = [name for name in free if name != first and _NUMBERED.fullmatch(name)]
    if not first and not numbered:
        first = _only(free)
    return tuple(name for name in (first, *numbered) if name)


def _only(names: list[str]) -> str:
    """Return the picture field if there is only one candidate."""
    fit = [name for name in names if not _NO_PICTURE.search(name)]
    return fit[0] if len(fit) == 1 else ""


def _sizing(rules: Mapping[str, Rule]) -> Sizing:
    if "size" in rules:
        return Sizing.NONE
    if "width" in rules and "height" in rules:
        return Sizing.SIDES
    ratios = rules.get("aspect_ratio", {}).get("enum", ())
    return Sizing.RATIO if any(ratio_of(ratio) for ratio in ratios) else Sizing.NONE


def _first(wanted: Iterable[str], names: Iterable[str]) -> str:
    there = set(names)
    return next((name for name in wanted if name in there), "")
