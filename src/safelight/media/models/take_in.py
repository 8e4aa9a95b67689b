"""Validates a 3D model, reads its facts and renders its pictures, in one call to a child.

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
    """A model's facts, and the renditions derived from it: `pictures` by rendition name.

    Either `preview`, `thumb` and `turntable`, or none; then `facts.undrawn` is the reason.
    """

    facts: ModelFacts
    pictures: dict[str, Picture]


def take_in_model(
    source: Path, folder: Path, rules: ModelRules, *, still: bool = True
) -> TakenInModel:
    """Validate the binary glTF at `source` and write its pictures into `folder`; for a child.

    Without `still`, only the turntable is rendered. Raises `MediaError` for a file that is damaged,
    refers to other files, or exceeds a limit. A valid file that cannot be rendered still has facts.
    """
    from safelight.media.models.look import look, picture  # noqa: PLC0415  only children

    seen = look(source, rules)
    made, undrawn = picture(seen, folder, still=still)
    return TakenInModel(replace(seen.facts, undrawn=undrawn), made)


def look_at_model(source: Path, rules: ModelRules) -> ModelFacts:
    """Validate the binary glTF at `source` and return only its facts; raise as `take_in_model`."""
    from safelight.media.models.look import look  # noqa: PLC0415  only children load numpy

    return look(source, rules).facts
