"""Loads a picture upright, in 8-bit sRGB with alpha, and provides its pixels at any size."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyvips

from safelight.media.errors import MediaTruncated, MediaUnsupported
from safelight.providers.local.inflate.arrays import Bytes

# The file is untrusted: block loaders that libvips marks as unsafe.
pyvips.block_untrusted_set(True)
# libvips warns for each damaged tile; real failures are errors.
logging.getLogger("pyvips").setLevel(logging.ERROR)
# Every picture is loaded once, so a cache would only waste memory.
pyvips.cache_set_max(0)
# The pool runs one child per core; threads would only compete.
pyvips.concurrency_set(1)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]

_LOADERS = {
    "image/jpeg": "jpegload",
    "image/png": "pngload",
    "image/webp": "webpload",
    "image/gif": "gifload",
    "image/avif": "heifload",
    "image/tiff": "tiffload",
}
_RGBA = 4
_MAX_SHRINK = 8
_OPAQUE = 250  # higher alpha counts as opaque: encoders are inexact


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle as fractions of a picture's width and height; left, top, right, bottom."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: RGBA, 8 bits, in memory."""

    image: pyvips.Image

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height

    @property
    def has_transparency(self) -> bool:
        """Whether any pixel is transparent."""
        alpha = self.image.extract_band(_RGBA - 1)
        return float(cast("float", alpha.min())) < _OPAQUE

    def pixels(self, side: int, box: Box | None = None) -> Bytes:
        """Return the part in `box` as (rows, columns, RGBA), its longest side at most `side`."""
        image = self.image if box is None else self._cut(box)
        small = image.thumbnail_image(side, height=side, size="down", no_rotate=True)
        data = np.frombuffer(small.cast("uchar").write_to_memory(), dtype=np.uint8)
        return data.reshape(small.height, small.width, _RGBA)

    def _cut(self, box: Box) -> pyvips.Image:
        left = min(int(box.left * self.width), self.width - 1)
        top = min(int(box.top * self.height), self.height - 1)
        width = max(1, min(round(box.right * self.width), self.width) - left)
        height = max(1, min(round(box.bottom * self.height), self.height) - top)
        return self.image.crop(left, top, width, height)


def load_picture(path: Path, media_type: str, side: int) -> Picture:
    """Return the picture's first frame, shrunk to a longest side of at most `side` pixels."""
    try:
        image = _open(path, media_type, side)
        # Shrunk while streaming: the full size is never in memory.
        image = image.thumbnail_image(side, height=side, size="down", no_rotate=True)
        image = _to_srgb(image.copy_memory().autorot())
        image = image if image.hasalpha() else image.bandjoin(255)
        return Picture(image.extract_band(0, n=_RGBA).copy_memory())
    except pyvips.Error as error:
        if "out of memory" in str(error):
            raise MemoryError from error
        raise MediaTruncated from error


def _open(path: Path, media_type: str, side: int) -> pyvips.Image:
    if media_type not in _LOADERS:
        raise MediaUnsupported
    load = getattr(pyvips.Image, _LOADERS[media_type])
    options: dict[str, Any] = {"access": "sequential", "fail_on": "error"}
    image = cast("pyvips.Image", load(str(path), **options))
    shrink = _shrink(max(image.width, image.height), side)
    if media_type == "image/jpeg" and shrink > 1:
        image = cast("pyvips.Image", load(str(path), shrink=shrink, **options))
    return image


def _shrink(longest: int, side: int) -> int:
    """Return the factor by which the JPEG decoder itself may shrink, which is free."""
    shrink = 1
    while shrink < _MAX_SHRINK and longest >= side * shrink * 2:
        shrink *= 2
    return shrink


def _to_srgb(image: pyvips.Image) -> pyvips.Image:
    cmyk = image.interpretation == "cmyk"
    if cmyk or image.get_typeof("icc-profile-data"):
        fallback = "cmyk" if cmyk else "srgb"
        # With a damaged profile, slightly wrong colors are better than no picture.
        with suppress(pyvips.Error):
            image = image.icc_transform("srgb", embedded=True, input_profile=fallback, depth=8)
    # From grey16 and rgb16 this also scales to 8 bits.
    return image.colourspace("srgb").cast("uchar")
