"""Reads a picture's EXIF, IPTC and XMP; child only."""

from collections.abc import Callable
from dataclasses import dataclass

import pyvips

from safelight.media.errors import reading
from safelight.media.facts import Described, Exif
from safelight.media.metadata import exif, iptc, xmp


@dataclass(frozen=True, slots=True)
class Told:
    """A picture's metadata, and whether any of it names a place."""

    exif: Exif
    iptc: Described
    xmp: Described
    has_location: bool


@reading()
def read(image: pyvips.Image) -> Told:
    """Return the metadata of an opened picture; skips unreadable values."""
    # Fields are asked for by name: a list of them contains names that are not UTF-8.
    iptc_facts, iptc_place = _described(image, "iptc-data", iptc.read)
    xmp_facts, xmp_place = _described(image, "xmp-data", xmp.read)
    has_location = bool(image.get_typeof(exif.LOCATION)) or iptc_place or xmp_place
    return Told(_exif(image), iptc_facts, xmp_facts, has_location)


def _described(
    image: pyvips.Image, name: str, reader: Callable[[bytes], tuple[Described, bool]]
) -> tuple[Described, bool]:
    data = image.get(name) if image.get_typeof(name) else None
    return reader(data) if isinstance(data, bytes) else ({}, False)


def _exif(image: pyvips.Image) -> Exif:
    found: dict[str, str | int | float] = {}
    if not image.get_typeof("exif-data"):
        return found
    for tag, name in exif.FIELDS:
        if not image.get_typeof(name):
            continue
        try:
            value = exif.value(str(image.get(name)))
        except UnicodeDecodeError:  # not in a known encoding: skip it
            continue
        if value is not None:
            found[tag] = value
    return found
