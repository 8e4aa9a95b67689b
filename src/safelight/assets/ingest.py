"""Placeholder by the owner so that the tree imports; the ingest helper writes the real one.

Contract: `pictures` is empty where a picture that is not to be made anew (`serve=False`) is so small
(<= 256 px, upright, png/jpeg/webp) that it is its own thumb and preview.
"""

from dataclasses import dataclass
from pathlib import Path

from safelight.assets.facts import Facts, InspectRules
from safelight.assets.inspect import inspect
from safelight.assets.picture import RENDITION_SIDES, Picture
from safelight.assets.renditions import make_renditions


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What is known of a picture, and what was made of it."""

    facts: Facts
    served: Picture | None
    pictures: dict[str, Picture]


def take_in(source: Path, folder: Path, rules: InspectRules, *, serve: bool) -> TakenIn:
    found = inspect(source, rules)
    shown = {"image/png", "image/jpeg", "image/webp"}
    small = max(found.width, found.height) <= min(RENDITION_SIDES.values())
    if not serve and small and found.media_type in shown and found.orientation == 1:
        return TakenIn(found, None, {})
    made = make_renditions(source, folder, serve)
    return TakenIn(found, made.served, made.pictures)
