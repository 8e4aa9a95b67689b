"""Picks from EXIF what people ask for, bounded and clean; never the place or serial numbers."""

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
_PREFIXES = ("exif-ifd0-", "exif-ifd2-")  # of the picture itself and of how it was taken
_MAX_CHARS = 200

# libvips writes `value (as printed, type, n components, m bytes)`.
_NOTE = re.compile(r" \(.*, [A-Za-z ]+, [0-9]+ components?, [0-9]+ bytes?\)\Z", re.DOTALL)
_WHOLE = re.compile(r"-?[0-9]{1,12}", re.ASCII)
_FRACTION = re.compile(r"(-?[0-9]{1,12})/(-?[0-9]{1,12})", re.ASCII)


def has_location(fields: Iterable[str]) -> bool:
    """Say whether the picture's fields, as libvips names them, tell where it was taken."""
    return _LOCATION in fields


def wanted(fields: Iterable[str]) -> dict[str, str]:
    """Return, by tag, the fields worth reading."""
    present = set(fields)
    return {tag: prefix + tag for tag in _TAGS for prefix in _PREFIXES if prefix + tag in present}


def value(text: str) -> str | int | float | None:
    """Return what libvips' text of a tag stands for; None when nothing legible is left."""
    text = _NOTE.sub("", text)
    if _WHOLE.fullmatch(text):
        return int(text)
    if fraction := _FRACTION.fullmatch(text):
        above, below = int(fraction[1]), int(fraction[2])
        return round(above / below, 6) if below else None
    legible = "".join(character for character in text if character.isprintable())
    return legible.strip()[:_MAX_CHARS] or None
