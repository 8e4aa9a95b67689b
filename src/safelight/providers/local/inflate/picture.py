"""Loads a picture upright, in 8-bit sRGB with alpha, and provides its pixels at any size."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pyvips

from safelight.media.headers.header import read_header
from safelight.media.pictures.vips import decoding, open_picture, to_srgb
from safelight.providers.local.inflate.arrays import Bytes

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
class SourcePicture:
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


def load_picture(path: Path, side: int) -> SourcePicture:
    """Return the picture's first frame, shrunk to a longest side of at most `side` pixels."""
    header = read_header(path)
    shrink = _shrink(max(header.width, header.height), side)
    with decoding():
        image = open_picture(path, header.format, shrink=shrink)
        # Shrunk while streaming: the full size is never in memory.
        image = image.thumbnail_image(side, height=side, size="down", no_rotate=True)
        image = to_srgb(image.copy_memory().autorot()).colourspace("srgb")
        image = image if image.hasalpha() else image.bandjoin(255)
        return SourcePicture(image.extract_band(0, n=_RGBA).copy_memory())


def _shrink(longest: int, side: int) -> int:
    """Return the factor by which the JPEG decoder itself may shrink, which is free."""
    shrink = 1
    while shrink < _MAX_SHRINK and longest >= side * shrink * 2:
        shrink *= 2
    return shrink
