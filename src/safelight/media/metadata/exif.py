"""Extracts common EXIF fields, bounded and sanitized; never the location or serial numbers."""

import re

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
_PREFIXES = ("exif-ifd0-", "exif-ifd2-")  # image and exposure tags
LOCATION = "exif-ifd3-GPSLatitude"
"""The libvips field that tells where a picture was taken."""
FIELDS = tuple((tag, prefix + tag) for tag in _TAGS for prefix in _PREFIXES)
"""The tags to extract, each with its libvips field."""
_MAX_CHARS = 200

# libvips appends ` (as printed, type, n components, m bytes)` to each value.
_NOTE = re.compile(r" \(.*, [A-Za-z ]+, [0-9]+ components?, [0-9]+ bytes?\)\Z", re.DOTALL)
_WHOLE = re.compile(r"-?[0-9]{1,12}", re.ASCII)
_FRACTION = re.compile(r"(-?[0-9]{1,12})/(-?[0-9]{1,12})", re.ASCII)


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
