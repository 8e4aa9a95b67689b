"""Reads a picture's facts or rejects it: the function to run in a child.

This module is light, because the server imports it to name the function; the child imports the
decoder and numpy with `safelight.media.pictures.decode`.
"""

from safelight.media.errors import MediaUnsupported
from safelight.media.facts import Facts, InspectRules, check_size
from safelight.media.headers.budget import check_memory
from safelight.media.headers.header import Header, read_header
from safelight.media.sniff import sniff
from safelight.media.source import Source

__all__ = [
    "Facts",
    "Header",
    "InspectRules",
    "codec_holes",
    "inspect",
    "passed",
    "read_header",
    "sniff",
]


def inspect(source: Source, rules: InspectRules) -> Facts:
    """Decode the picture completely and return its facts; for a child process.

    Raises `MediaEmpty`, `MediaUnsupported`, `MediaTooManyPixels`, `MediaTruncated` or `MediaError`.
    """
    header = passed(source, rules)
    from safelight.media.pictures.decode import examine  # noqa: PLC0415  only children load the decoder

    return examine(source, header, rules).facts


def passed(source: Source, rules: InspectRules) -> Header:
    """Return the header of a picture that may be decoded; raise as `inspect` does."""
    header = read_header(source)
    if header.format not in rules.formats:
        raise MediaUnsupported
    check_size(header.width, header.height, header.frames, rules)
    check_memory(header)
    return header


def codec_holes() -> list[str]:
    """Return a sentence for each decoder with a known hole; for a child process."""
    from safelight.media.pictures.codecs import holes  # noqa: PLC0415  only children load the decoder

    return holes()
