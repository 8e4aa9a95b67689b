"""Makes a model's texture: the object's part of the picture, with colors extended past its edge."""

from dataclasses import dataclass

import numpy as np
import pyvips

from safelight.providers.local.inflate.arrays import Bools, Bytes, Floats
from safelight.providers.local.inflate.images import grown, nearest_to, shrunk
from safelight.providers.local.inflate.picture import Box, SourcePicture

_INSIDE = 0.5
_SURE_ALPHA = 200  # below it, a pixel's color is partly the background's
_HALO = 2.5  # mask pixels along the outline that may have the background's color
_SPREAD = 3.0  # pixels: extended further, single pixels would show as streaks
_FAINT = 0.02  # of the center's weight: smaller weights are left out of a blur
_NO_METADATA = 0
_QUALITY = 90


@dataclass(frozen=True, slots=True)
class Texture:
    """RGB pixels (rows, columns, 3), the part of the picture they show, and their main color."""

    pixels: Bytes
    box: Box
    color: tuple[float, float, float]  # sRGB, 0 to 1


def make_texture(picture: SourcePicture, coverage: Floats, box: Box, side: int) -> Texture:
    """Return the texture of the area inside `coverage`, a mask of the whole picture."""
    pixels = picture.pixels(side, box)
    inside = _resample(coverage, box, pixels.shape[:2]) > _INSIDE
    opaque = pixels[..., 3] >= min(_SURE_ALPHA, pixels[..., 3].max())
    mask_pixels = (box.right - box.left) * coverage.shape[1]
    sure = _without_halo(inside & opaque, max(1, round(_HALO * pixels.shape[1] / mask_pixels)))
    if not sure.any():
        sure = inside if inside.any() else np.ones_like(inside)
    rgb = pixels[..., :3]
    red, green, blue = (rgb[sure].mean(axis=0) / 255).tolist()
    return Texture(_drawn_out(rgb, sure), box, (red, green, blue))


def encode(pixels: Bytes) -> bytes:
    """Return RGB pixels as JPEG, without chroma subsampling, since drawings have sharp edges."""
    image = pyvips.Image.new_from_array(pixels)
    return image.jpegsave_buffer(Q=_QUALITY, subsample_mode="off", keep=_NO_METADATA)


def texture_places(places: Floats, mask_shape: tuple[int, int], box: Box) -> Floats:
    """Return texture coordinates (n, 2) of x, y in a mask's pixel indices."""
    rows, columns = mask_shape
    whole = (places + 0.5) / np.array([columns, rows])
    low, high = np.array([box.left, box.top]), np.array([box.right, box.bottom])
    return (whole - low) / (high - low)


def _resample(coverage: Floats, box: Box, shape: tuple[int, ...]) -> Floats:
    rows, columns = coverage.shape
    down = (box.top + (box.bottom - box.top) * (np.arange(shape[0]) + 0.5) / shape[0]) * rows
    across = (box.left + (box.right - box.left) * (np.arange(shape[1]) + 0.5) / shape[1]) * columns
    # One axis after the other: coordinates for each pixel of a large texture would fill a gigabyte.
    return _rows_at(_rows_at(coverage, down - 0.5).T, across - 0.5).T


def _rows_at(values: Floats, at: Floats) -> Floats:
    """Return rows of `values`, interpolated; beyond the edge, the edge repeats."""
    inside = np.clip(at, 0, len(values) - 1)
    first = inside.astype(np.int64)
    part = (inside - first).astype(np.float32)[:, None]
    last = np.minimum(first + 1, len(values) - 1)
    return values[first] * (1 - part) + values[last] * part


def _without_halo(inside: Bools, halo: int) -> Bools:
    """Return `inside` eroded by the halo, but keeping parts that are too thin."""
    core = shrunk(inside, halo)
    return core | (inside & ~grown(core, halo + 1))


def _drawn_out(rgb: Bytes, sure: Bools) -> Bytes:
    """Return `rgb` with each uncertain pixel replaced by the nearest certain one."""
    drawn = pyvips.Image.new_from_array(nearest_to(sure, rgb))
    # In integers, ten times as fast as in floats: at full size this is the slowest step.
    soft = drawn.gaussblur(_SPREAD, min_ampl=_FAINT).numpy()
    return np.where(sure[..., None], rgb, soft)
