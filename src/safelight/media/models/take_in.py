"""Checks a 3D model, finds its facts and makes its pictures, in one visit to a child.

This module is light, because the server imports it to name the functions.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from safelight.media.models.check.facts import ModelFacts, ModelRules
from safelight.media.pictures.picture import Picture

GLB = "model/gltf-binary"

__all__ = ["GLB", "ModelFacts", "ModelRules", "TakenInModel", "look_at_model", "take_in_model"]


@dataclass(frozen=True, slots=True)
class TakenInModel:
    """What is known of a model, and what was made of it: `pictures` by the name of the rendition.

    There are `preview`, `thumb` and `turntable`, or none; then `facts.undrawn` says why.
    """

    facts: ModelFacts
    pictures: dict[str, Picture]


def take_in_model(
    source: Path, folder: Path, rules: ModelRules, *, still: bool = True
) -> TakenInModel:
    """Check the binary glTF at `source` and write its pictures into `folder`; for a child.

    Without `still` only the turntable is made. Raises `MediaError` for a file that is damaged,
    refers to others, or is beyond the budgets. One that is sound but cannot be drawn has facts all
    the same.
    """
    from safelight.media.models.look import look, picture  # noqa: PLC0415  only children

    seen = look(source, rules)
    made, undrawn = picture(seen, folder, still=still)
    return TakenInModel(replace(seen.facts, undrawn=undrawn), made)


def look_at_model(source: Path, rules: ModelRules) -> ModelFacts:
    """Check the binary glTF at `source` and return its facts alone; raise as `take_in_model`."""
    from safelight.media.models.look import look  # noqa: PLC0415  only children load numpy

    return look(source, rules).facts
