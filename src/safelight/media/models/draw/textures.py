"""Textures in memory: one flat array of all texels, sampled at many positions at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyvips

from safelight.media.models.arrays import Bytes, Floats, Ints
from safelight.media.models.draw.light import LINEAR
from safelight.media.models.formats.scene import Wrap
from safelight.media.pictures.vips import decoding, to_srgb

_ALL_TEXELS = 16_000_000  # in all textures together, four bytes each
_FARTHEST = float(2**30)  # positions beyond it would overflow an integer
_RGBA = 4
WRAPS = {Wrap.REPEAT: 0, Wrap.MIRROR: 1, Wrap.CLAMP: 2}


@dataclass(frozen=True, slots=True)
class Textures:
    """Texels (n,) of 32-bit RGBA, and the start and size of each texture.

    The first texture is a single white texel, for surfaces without a texture.
    """

    texels: Ints
    starts: Ints
    columns: Ints
    rows: Ints

    def read(self, which: Ints, places: Floats, wraps: Ints) -> Floats:
        """Return linear RGBA (k, 4) of textures `which` (k,) at positions (k, 2), interpolated.

        Positions have 0, 0 at the lower left; `wraps` (k, 2) are the modes beyond the edges.
        """
        columns, rows, starts = self.columns[which], self.rows[which], self.starts[which]
        left, right, x = _neighbors(places[:, 0], columns, wraps[:, 0])
        top, bottom, y = _neighbors(1 - places[:, 1], rows, wraps[:, 1])
        upper, lower = starts + top * columns, starts + bottom * columns
        over = _mixed(self._light(upper + left), self._light(upper + right), x)
        under = _mixed(self._light(lower + left), self._light(lower + right), x)
        return _mixed(over, under, y)

    def halved(self) -> "Textures":
        """Return the textures at half size, each texel the mean of four."""
        return _joined([_half(self._pixels(index)) for index in range(1, len(self.starts))])

    def _light(self, index: Ints) -> Floats:
        parts = self.texels[index].view(np.uint8).reshape(-1, _RGBA)
        light = LINEAR[parts]
        light[:, 3] = parts[:, 3] * np.float32(1 / 255)
        return light

    def _pixels(self, index: int) -> Bytes:
        start, rows, columns = (int(k[index]) for k in (self.starts, self.rows, self.columns))
        texels = self.texels[start : start + rows * columns]
        return texels.view(np.uint8).reshape(rows, columns, _RGBA)


def load_textures(pictures: Sequence[bytes], side: int) -> Textures:
    """Return the pictures (PNG, JPEG or WebP), none with a side longer than `side`."""
    fair = math.isqrt(_ALL_TEXELS // max(len(pictures), 1))
    return _joined([_decoded(data, min(side, fair)) for data in pictures])


def _joined(pictures: Sequence[Bytes]) -> Textures:
    everything = [np.full((1, 1, _RGBA), 255, np.uint8), *pictures]
    rows, columns = (np.array([each.shape[k] for each in everything]) for k in (0, 1))
    flat = [np.ascontiguousarray(each).view(np.int32).ravel() for each in everything]
    return Textures(np.concatenate(flat), np.cumsum(rows * columns) - rows * columns, columns, rows)


def _decoded(data: bytes, side: int) -> Bytes:
    with decoding():
        image = pyvips.Image.thumbnail_buffer(
            data, side, height=side, size="down", no_rotate=True, fail_on="error"
        )
        image = to_srgb(image).colourspace("srgb")
        image = image if image.hasalpha() else image.bandjoin(255)
        flat = np.frombuffer(image.extract_band(0, n=_RGBA).write_to_memory(), np.uint8)
    return flat.reshape(image.height, image.width, _RGBA)


def _half(pixels: Bytes) -> Bytes:
    rows, columns = max(pixels.shape[0] // 2, 1), max(pixels.shape[1] // 2, 1)
    if min(pixels.shape[:2]) < 2:  # noqa: PLR2004
        return pixels
    fours = pixels[: rows * 2, : columns * 2].reshape(rows, 2, columns, 2, _RGBA)
    return np.rint(fours.mean(axis=(1, 3), dtype=np.float32)).astype(np.uint8)


def _neighbors(places: Floats, sizes: Ints, wraps: Ints) -> tuple[Ints, Ints, Floats]:
    """Return the texels on either side along one axis, and the fraction toward the second."""
    at = np.clip(places.astype(np.float64) * sizes - 0.5, -_FARTHEST, _FARTHEST)
    first = np.floor(at)
    beyond = (at - first).astype(np.float32)[:, None]
    index = first.astype(np.int64)
    return _wrapped(index, sizes, wraps), _wrapped(index + 1, sizes, wraps), beyond


def _wrapped(index: Ints, sizes: Ints, wraps: Ints) -> Ints:
    inside = index % sizes
    mirrored, clamped = wraps == WRAPS[Wrap.MIRROR], wraps == WRAPS[Wrap.CLAMP]
    if mirrored.any():
        there = index % (2 * sizes)
        inside = np.where(mirrored, np.minimum(there, 2 * sizes - 1 - there), inside)
    if clamped.any():
        inside = np.where(clamped, np.clip(index, 0, sizes - 1), inside)
    return inside


def _mixed(one: Floats, two: Floats, share: Floats) -> Floats:
    return one + (two - one) * share
