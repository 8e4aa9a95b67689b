"""Reads a picture's facts and derives its public renditions, in one call to a child.

This module is light, because the server imports it to name the function.
"""

from dataclasses import dataclass
from pathlib import Path

from safelight.media.facts import Facts, InspectRules
from safelight.media.headers.header import Header
from safelight.media.pictures.inspect import passed
from safelight.media.pictures.picture import RENDITION_SIDES, Picture
from safelight.media.source import Source

SMALL_BYTES = 4 * 2**20
"""The largest file that is taken in without other files."""

_SMALL_PIXELS = 2 * 2**20  # as PNG, with their renditions, they fit into one answer of a child
_SHOWN = frozenset({"png", "jpeg", "webp"})


@dataclass(frozen=True, slots=True)
class TakenIn:
    """A picture's facts, and the renditions derived from it: `pictures` by rendition name.

    `served` is the public copy: upright, 8-bit sRGB and without any metadata.
    """

    facts: Facts
    served: Picture | None
    pictures: dict[str, Picture]


def take_in(source: Source, folder: Path | None, rules: InspectRules, *, serve: bool) -> TakenIn:
    """Decode the picture once and write its renditions into `folder`, or none into memory.

    Without `serve` there is no public copy. Then a small picture in a web format has no `pictures`
    either: it is its own thumb and preview. Raises as `inspect` does.
    """
    header = passed(source, rules)
    from safelight.media.pictures.decode import examine  # noqa: PLC0415  only children load the decoder
    from safelight.media.pictures.render import render, served  # noqa: PLC0415

    seen = examine(source, header, rules, whole=serve)
    copy = served(seen, source, folder) if serve else None
    shown = not serve and _is_its_own(header, seen.facts)
    return TakenIn(seen.facts, copy, {} if shown else render(seen, folder))


def take_in_small(data: bytes, rules: InspectRules, *, serve: bool) -> TakenIn | None:
    """Do as `take_in` does, in memory; return None for a picture of too many pixels for that."""
    header = passed(data, rules)
    if header.width * header.height * header.frames > _SMALL_PIXELS:
        return None
    return take_in(data, None, rules, serve=serve)


def _is_its_own(header: Header, facts: Facts) -> bool:
    small = max(header.width, header.height) <= min(RENDITION_SIDES.values())
    return small and header.format in _SHOWN and facts.orientation == 1
