"""Extracts common EXIF fields, bounded and sanitized; never the location or serial numbers."""

import re
from collections.abc import Iterable

_TAGS = (
    "Make",
    "Model",
    "LensMake",
    "LensModel",
    "Software",
    "DateTime",
    "DateTimeOriginal",
    "OffsetTimeOriginal",
    "ImageDescription",
    "Artist",
    "Copyright",
    "ExposureTime",
    "FNumber",
    "ISOSpeedRatings",
    "ExposureBiasValue",
    "ExposureProgram",
    "MeteringMode",
    "Flash",
    "FocalLength",
    "FocalLengthIn35mmFilm",
    "WhiteBalance",
    "ColorSpace",
)
_LOCATION = "exif-ifd3-GPSLatitude"
_PREFIXES = ("exif-ifd0-", "exif-ifd2-")  # image and exposure tags
_MAX_CHARS = 200

# libvips appends ` (as printed, type, n components, m bytes)` to each value.
_NOTE = re.compile(r" \(.*, [A-Za-z ]+, [0-9]+ components?, [0-9]+ bytes?\)\Z", re.DOTALL)
_WHOLE = re.compile(r"-?[0-9]{1,12}", re.ASCII)
_FRACTION = re.compile(r"(-?[0-9]{1,12})/(-?[0-9]{1,12})", re.ASCII)


def has_location(fields: Iterable[str]) -> bool:
    """Return whether the fields, as libvips names them, contain a location."""
    return _LOCATION in fields


def wanted(fields: Iterable[str]) -> dict[str, str]:
    """Return the libvips field for each tag that is present."""
    present = set(fields)
    return {tag: prefix + tag for tag in _TAGS for prefix in _PREFIXES if prefix + tag in present}


def value(text: str) -> str | int | float | None:
    """Parse libvips' text for a tag; None if nothing printable remains."""
    text = _NOTE.sub("", text)
    if _WHOLE.fullmatch(text):
        return int(text)
    if fraction := _FRACTION.fullmatch(text):
        above, below = int(fraction[1]), int(fraction[2])
        return round(above / below, 6) if below else None
    legible = "".join(character for character in text if character.isprintable())
    return legible.strip()[:_MAX_CHARS] or None
