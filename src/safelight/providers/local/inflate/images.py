"""Image operations of `inflate`: blur, interpolate, dilate, measure.

Thin wrappers of scipy.ndimage, with uniform edge handling and exact types.
"""

from typing import cast

import numpy as np
from scipy import ndimage

from safelight.providers.local.inflate.arrays import Bools, Bytes, Floats, Ints

_ALL_AROUND = np.ones((3, 3), bool)
_REACH = 3.0  # standard deviations at which a blur is truncated


def blur(values: Floats, sigma: float, *, outside: float | None = None) -> Floats:
    """Return `values` blurred by `sigma` pixels.

    Beyond the edge, values are `outside`, or repeat the edge.
    """
    mode, beyond = ("nearest", 0.0) if outside is None else ("constant", outside)
    return ndimage.gaussian_filter(values, sigma, mode=mode, cval=beyond, truncate=_REACH)


def read_grid(
    values: Floats, down: Floats, across: Floats, *, outside: float | None = None
) -> Floats:
    """Return `values` interpolated at rows `down` and columns `across`: (rows, columns).

    Coordinates may be fractional; 0 is the first pixel's center.
    """
    mode, beyond = ("nearest", 0.0) if outside is None else ("constant", outside)
    places = np.stack(np.meshgrid(down, across, indexing="ij"))
    return ndimage.map_coordinates(values, places, order=1, mode=mode, cval=beyond)


def grown(found: Bools, pixels: int) -> Bools:
    return ndimage.binary_dilation(found, iterations=pixels)


def shrunk(found: Bools, pixels: int) -> Bools:
    return ndimage.binary_erosion(found, iterations=pixels)


def touched(found: Bools) -> Bools:
    """Return `found` dilated by all eight neighbors."""
    return ndimage.binary_dilation(found, _ALL_AROUND)


def opened(found: Bools) -> Bools:
    """Return `found` without parts only a pixel or two wide."""
    return ndimage.binary_opening(found)


def filled(found: Bools) -> Bools:
    """Return `found` with all its holes filled."""
    return ndimage.binary_fill_holes(found)


def connected(seeds: Bools, within: Bools) -> Bools:
    """Return the components of `within` that contain a seed."""
    return ndimage.binary_propagation(seeds, mask=within)


def parts(found: Bools) -> tuple[Ints, Ints]:
    """Return each pixel's component (0 is none), and each component's area (that of 0 is 0).

    Pixels that touch at a corner are connected.
    """
    labels = np.empty(found.shape, np.int32)
    ndimage.label(found, _ALL_AROUND, output=labels)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return labels.astype(np.int64), areas


def distance_to(found: Bools) -> Floats:
    """Return each pixel's distance to the nearest found one, in pixels."""
    distance = ndimage.distance_transform_edt(~found)
    return distance.astype(np.float32)


def nearest_to(found: Bools, colors: Bytes) -> Bytes:
    """Return the color of the nearest found pixel, for each pixel."""
    indices = cast(
        "Ints",
        ndimage.distance_transform_edt(~found, return_distances=False, return_indices=True),
    )
    return colors[indices[0], indices[1]]
