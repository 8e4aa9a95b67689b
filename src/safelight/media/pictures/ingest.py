"""Finds out what a picture is and makes what the public sees of it, in one visit to a child.

This module is light, because the server imports it to name the function.
"""

from dataclasses import dataclass
from pathlib import Path

from safelight.media.facts import Facts, InspectRules
from safelight.media.headers.header import Header
from safelight.media.pictures.inspect import passed
from safelight.media.pictures.picture import RENDITION_SIDES, Picture

_SHOWN = frozenset({"png", "jpeg", "webp"})


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What is known of a picture, and what was made of it: `pictures` by the name of the rendition.

    `served` is the public copy: upright, 8-bit sRGB and without any metadata.
    """

    facts: Facts
    served: Picture | None
    pictures: dict[str, Picture]


def take_in(source: Path, folder: Path, rules: InspectRules, *, serve: bool) -> TakenIn:
    """Decode the picture at `source` once and write what is made of it into `folder`.

    Without `serve` there is no public copy, and a picture that is small and fit to be shown has no
    `pictures` either: it is its own thumb and preview. Raises what `inspect` raises.
    """
    header = passed(source, rules)
    from safelight.media.pictures.decode import examine  # noqa: PLC0415  only children load the decoder
    from safelight.media.pictures.render import render, served  # noqa: PLC0415

    seen = examine(source, header, rules, whole=serve)
    copy = served(seen, source, folder) if serve else None
    shown = not serve and _is_its_own(header, seen.facts)
    return TakenIn(seen.facts, copy, {} if shown else render(seen, folder))


def _is_its_own(header: Header, facts: Facts) -> bool:
    small = max(header.width, header.height) <= min(RENDITION_SIDES.values())
    return small and header.format in _SHOWN and facts.orientation == 1
