"""What the modules of `inflate` do with whole images: blur, read between pixels, grow, measure.

Thin covers over scipy.ndimage, with one way to treat edges and exact types.
"""

from typing import cast

import numpy as np
from scipy import ndimage

from safelight.providers.local.inflate.arrays import Bools, Bytes, Floats, Ints

_ALL_AROUND = np.ones((3, 3), bool)
_REACH = 3.0  # standard deviations at which a blur is cut off


def blur(values: Floats, sigma: float, *, outside: float | None = None) -> Floats:
    """Return `values` blurred by `sigma` pixels.

    Beyond the edge there is `outside`, or more of what is at the edge.
    """
    mode, beyond = ("nearest", 0.0) if outside is None else ("constant", outside)
    return cast(
        "Floats",
        ndimage.gaussian_filter(values, sigma, mode=mode, cval=beyond, truncate=_REACH),
    )


def read_grid(
    values: Floats, down: Floats, across: Floats, *, outside: float | None = None
) -> Floats:
    """Return `values` read where rows `down` and columns `across` cross: (rows, columns).

    They may lie between pixels; 0 is the first pixel's middle.
    """
    mode, beyond = ("nearest", 0.0) if outside is None else ("constant", outside)
    places = np.stack(np.meshgrid(down, across, indexing="ij"))
    return cast("Floats", ndimage.map_coordinates(values, places, order=1, mode=mode, cval=beyond))


def grown(found: Bools, pixels: int) -> Bools:
    return cast("Bools", ndimage.binary_dilation(found, iterations=pixels))


def shrunk(found: Bools, pixels: int) -> Bools:
    return cast("Bools", ndimage.binary_erosion(found, iterations=pixels))


def touched(found: Bools) -> Bools:
    """Return `found` with all eight neighbors."""
    return cast("Bools", ndimage.binary_dilation(found, _ALL_AROUND))


def opened(found: Bools) -> Bools:
    """Return `found` without what is but a pixel or two wide."""
    return cast("Bools", ndimage.binary_opening(found))


def filled(found: Bools) -> Bools:
    """Return `found` with all its holes filled."""
    return cast("Bools", ndimage.binary_fill_holes(found))


def connected(seeds: Bools, within: Bools) -> Bools:
    """Return the parts of `within` that contain a seed."""
    return cast("Bools", ndimage.binary_propagation(seeds, mask=within))


def parts(found: Bools) -> tuple[Ints, Ints]:
    """Return each pixel's part (0 is none), and each part's area in pixels (that of 0 is 0).

    Pixels that touch at a corner are of one part.
    """
    labels = np.empty(found.shape, np.int32)
    ndimage.label(found, _ALL_AROUND, output=labels)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return labels.astype(np.int64), areas


def distance_to(found: Bools) -> Floats:
    """Return how far each pixel is from the nearest one that is found, in pixels."""
    distance = cast("Floats", ndimage.distance_transform_edt(~found))
    return distance.astype(np.float32)


def nearest_to(found: Bools, colors: Bytes) -> Bytes:
    """Return the color that the nearest found pixel has, for each pixel."""
    indices = cast(
        "Ints",
        ndimage.distance_transform_edt(~found, return_distances=False, return_indices=True),
    )
    return colors[indices[0], indices[1]]
