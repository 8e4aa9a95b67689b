"""Computes the placeholder, perceptual hash and main colors of a small picture; child only."""

import base64
import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]

_COLORS = 5
_BIN_BITS = 4  # per channel, when counting similar colors
_APART = 48.0  # minimum distance between two main colors, in 8-bit RGB
_VISIBLE = 128  # alpha at which a pixel counts
_HASH_SIDE = 8


def thumbhash(pixels: Bytes) -> str:
    """Return the ThumbHash of RGBA pixels, at most 100 per side, in base64.

    The format is Evan Wallace's (https://evanw.github.io/thumbhash/): the average color and the
    lowest cosine frequencies of luminance, two color differences and alpha, four bits each.
    """
    height, width = pixels.shape[:2]
    luminance, yellow_blue, red_green, alpha = _planes(pixels)
    has_alpha = bool((pixels[..., 3] < 255).any())  # noqa: PLR2004
    most = 5 if has_alpha else 7
    longest = max(width, height)
    across = max(1, _round(most * width / longest))
    down = max(1, _round(most * height / longest))
    light = _encode(luminance, max(3, across), max(3, down))
    yellow = _encode(yellow_blue, 3, 3)
    red = _encode(red_green, 3, 3)
    landscape = width > height
    head = (
        _round(63 * light[0])
        | _round(31.5 + 31.5 * yellow[0]) << 6
        | _round(31.5 + 31.5 * red[0]) << 12
        | _round(31 * light[2]) << 18
        | has_alpha << 23
        | (down if landscape else across) << 24
        | _round(63 * yellow[2]) << 27
        | _round(63 * red[2]) << 33
        | landscape << 39
    )
    data = bytearray(head.to_bytes(5, "little"))
    waves = light[1] + yellow[1] + red[1]
    if has_alpha:
        opacity = _encode(alpha, 5, 5)
        data.append(_round(15 * opacity[0]) | _round(15 * opacity[2]) << 4)
        waves += opacity[1]
    nibbles = [_round(15 * wave) for wave in waves]
    nibbles += [0] * (len(nibbles) % 2)
    data += bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))
    return base64.b64encode(bytes(data)).decode("ascii")


def difference_hash(gray: Bytes) -> str:
    """Return 64 bits in hex: whether each pixel is darker than the next, in 8 rows of 9."""
    bits = 0
    for row in gray.reshape(_HASH_SIDE, _HASH_SIDE + 1).tolist():
        for left, right in pairwise(row):
            bits = bits << 1 | (left < right)
    return f"{bits:016x}"


def main_colors(pixels: Bytes) -> tuple[str, ...]:
    """Return up to five colors of RGBA pixels as `#rrggbb`, most frequent first."""
    flat = pixels.reshape(-1, 4)
    visible = flat[flat[:, 3] >= _VISIBLE][:, :3].astype(np.int64)
    if not len(visible):
        return ()
    coarse = visible >> (8 - _BIN_BITS)
    bins = (coarse[:, 0] << 2 * _BIN_BITS) | (coarse[:, 1] << _BIN_BITS) | coarse[:, 2]
    _, which, counts = np.unique(bins, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(which, weights=visible[:, band]) for band in range(3)], axis=1)
    means = sums / counts[:, None]
    chosen: list[list[float]] = []
    for mean in means[np.argsort(-counts, kind="stable")].tolist():
        if all(math.dist(mean, other) >= _APART for other in chosen):
            chosen.append(mean)
        if len(chosen) == _COLORS:
            break
    return tuple("#" + "".join(f"{_round(part):02x}" for part in color) for color in chosen)


def _planes(pixels: Bytes) -> tuple[Floats, Floats, Floats, Floats]:
    """Split into luminance, yellow-blue, red-green and alpha, composited over the average color."""
    channels = pixels.astype(np.float64) / 255.0
    alpha = channels[..., 3]
    total = float(alpha.sum())
    weighted = channels[..., :3] * alpha[..., None]
    average = weighted.sum(axis=(0, 1)) / total if total else np.zeros(3)
    red, green, blue = np.moveaxis(average * (1 - alpha)[..., None] + weighted, 2, 0)
    return (red + green + blue) / 3, (red + green) / 2 - blue, red - green, alpha


def _encode(plane: Floats, across: int, down: int) -> tuple[float, list[float], float]:
    """Return a plane's mean, its lowest frequencies scaled to 0..1, and the scale."""
    height, width = plane.shape
    waves_x = np.cos(np.pi / width * np.outer(_steps(across), _steps(width) + 0.5))
    waves_y = np.cos(np.pi / height * np.outer(_steps(down), _steps(height) + 0.5))
    found = waves_y @ plane @ waves_x.T / (width * height)
    kept = [
        float(found[y, x])
        for y in range(down)
        for x in range(across)
        if (x or y) and x * down < across * (down - y)
    ]
    scale = max(map(abs, kept), default=0.0)
    if scale:
        kept = [0.5 + 0.5 / scale * wave for wave in kept]
    return float(found[0, 0]), kept, scale


def _steps(count: int) -> Floats:
    return np.arange(count, dtype=np.float64)


def _round(number: float) -> int:
    """Round half up, as the reference implementation does."""
    return math.floor(number + 0.5)
