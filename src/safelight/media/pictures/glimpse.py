"""Renders a small preview of unfinished work for an event: the function to run in a child.

This module is light, because the server imports it to name the function.
"""

import base64

from safelight.media.errors import MediaTruncated
from safelight.media.facts import InspectRules
from safelight.media.pictures.inspect import passed
from safelight.media.source import Source

SIDE = 320
"""Pixels of the longest side."""

_MAX_BYTES = 48_000  # noise at that size takes 40,000


def glimpse(source: Source, rules: InspectRules) -> str:
    """Return the picture as a small WebP in a `data:` URI; for a child process.

    Raises `MediaError` if it cannot be read or stays too large.
    """
    header = passed(source, rules)
    from safelight.media.pictures.render import small  # noqa: PLC0415  only children load the decoder

    data = small(source, header.format, SIDE)
    if len(data) > _MAX_BYTES:
        raise MediaTruncated("The picture is too large to be told in an event.")
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"
