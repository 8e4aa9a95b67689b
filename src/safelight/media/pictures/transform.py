"""Derives a variant of a picture in another size or format: the function to run in a child.

This module is light, because the server imports it to name the function.
"""

from pathlib import Path

from safelight.media.pictures.picture import Picture
from safelight.media.pictures.spec import VariantOrder

__all__ = ["transform"]


def transform(source: Path, target: Path, order: VariantOrder) -> Picture:
    """Write the variant in `order` of the picture at `source` to `target`; for a child process.

    Raises `MediaTruncated` if `source` cannot be decoded.
    """
    from safelight.media.pictures.reshape import reshape  # noqa: PLC0415  only children load the decoder

    return reshape(source, target, order)
