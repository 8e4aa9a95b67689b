"""Derives a variant of a picture in another size or format: the function to run in a child.

This module is light, because the server imports it to name the function.
"""

from pathlib import Path

from safelight.media.pictures.picture import Picture
from safelight.media.pictures.spec import VariantOrder
from safelight.media.source import Source

__all__ = ["SMALL_BYTES", "fits_memory", "transform"]

SMALL_BYTES = 8 * 2**20
"""The largest file that is transformed without other files."""

_SMALL_PIXELS = 2 * 2**20  # even as PNG they fit into one answer of a child


def fits_memory(order: VariantOrder) -> bool:
    """Return whether a variant may be made in memory."""
    return order.width * order.height <= _SMALL_PIXELS


def transform(source: Source, folder: Path | None, order: VariantOrder) -> Picture:
    """Write the variant in `order` into `folder`, or into memory; for a child process.

    Raises `MediaTruncated` if `source` cannot be decoded.
    """
    from safelight.media.pictures.reshape import reshape  # noqa: PLC0415  only children load the decoder

    return reshape(source, folder, order)
