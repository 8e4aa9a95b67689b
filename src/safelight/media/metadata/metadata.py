"""Gathers what a picture's EXIF, IPTC and XMP say; child only."""

from collections.abc import Callable
from dataclasses import dataclass

import pyvips

from safelight.media.facts import Described, Exif
from safelight.media.metadata import exif, iptc, xmp


@dataclass(frozen=True, slots=True)
class Told:
    """What the metadata says, and whether any of it names the place."""

    exif: Exif
    iptc: Described
    xmp: Described
    has_location: bool


def read(image: pyvips.Image) -> Told:
    """Return what the metadata of an opened picture says; what cannot be read is left out."""
    fields = image.get_fields()
    iptc_facts, iptc_place = _described(image, fields, "iptc-data", iptc.read)
    xmp_facts, xmp_place = _described(image, fields, "xmp-data", xmp.read)
    has_location = exif.has_location(fields) or iptc_place or xmp_place
    return Told(_exif(image, fields), iptc_facts, xmp_facts, has_location)


def _described(
    image: pyvips.Image,
    fields: list[str],
    name: str,
    reader: Callable[[bytes], tuple[Described, bool]],
) -> tuple[Described, bool]:
    data = image.get(name) if name in fields else None
    return reader(data) if isinstance(data, bytes) else ({}, False)


def _exif(image: pyvips.Image, fields: list[str]) -> Exif:
    found: dict[str, str | int | float] = {}
    for tag, name in exif.wanted(fields).items():
        try:
            value = exif.value(str(image.get(name)))
        except UnicodeDecodeError:  # text in no known encoding is no text
            continue
        if value is not None:
            found[tag] = value
    return found
