"""Finds which triangle each pixel shows: a z-buffer in numpy, many triangles at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from safelight.providers.inflate.arrays import Floats, Ints

_AT_ONCE = 1_500_000  # pairs of triangle and pixel; bounds the memory
_EDGE = -1e-5  # lets a pixel exactly on an edge belong to both triangles, so that no gap shows


@dataclass(frozen=True, slots=True)
class Hits:
    """What is seen: pixels (k,) as flat indices, each once, their triangle, and where in it.

    `weights` (k, 3) are barycentric, corrected for perspective; `depths` (k,) are from the camera.
    """

    pixels: Ints
    triangles: Ints
    weights: Floats
    depths: Floats


_NONE = Hits(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0))


def rasterize(corners: Floats, depths: Floats, side: int) -> Hits:
    """Return what a square image of `side` pixels shows.

    `corners` (m, 3, 2) are the triangles on the image, x right and y down, in pixels; `depths`
    (m, 3) the distances of their corners. Triangles seen from behind are left out.
    """
    facing = np.flatnonzero(_doubled_area(corners) < 0)
    nearest = np.full(side * side, np.inf)
    found = [_NONE]
    for chosen, reach in _batches(corners, facing, side):
        hits = _cover(corners[chosen], depths[chosen], side, reach)
        np.minimum.at(nearest, hits.pixels, hits.depths)
        found.append(Hits(hits.pixels, chosen[hits.triangles], hits.weights, hits.depths))
    return _nearest_of(found, nearest)


def _doubled_area(corners: Floats) -> Floats:
    """Return twice the signed area; negative where corners turn counterclockwise as seen."""
    (x0, y0), (x1, y1), (x2, y2) = (corners[:, k].T for k in range(3))
    return (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)


def _batches(corners: Floats, facing: Ints, side: int) -> Iterator[tuple[Ints, int]]:
    """Yield triangles together with how many pixels they reach across, like beside like."""
    low = np.floor(corners[facing].min(axis=1))
    extent = (np.ceil(corners[facing].max(axis=1)) - low).max(axis=1)
    shorter = 0
    for reach in (2**power for power in range(1, side.bit_length() + 1)):
        alike = facing[(extent > shorter) & (extent <= reach)]
        most = max(1, _AT_ONCE // reach**2)
        for start in range(0, len(alike), most):
            yield alike[start : start + most], reach
        shorter = reach


def _cover(corners: Floats, depths: Floats, side: int, reach: int) -> Hits:
    """Return every pixel whose middle a triangle covers, whatever is in front of it."""
    low = np.floor(corners.min(axis=1))
    # Near its own corner a triangle's numbers are small, so single precision is enough.
    weights = _barycentric((corners - low[:, None]).astype(np.float32), reach)
    covered = np.logical_and.reduce([weight >= _EDGE for weight in weights])
    triangle, row, column = np.nonzero(covered)
    pixel_x = low[triangle, 0].astype(np.int64) + column
    pixel_y = low[triangle, 1].astype(np.int64) + row
    shown = (pixel_x >= 0) & (pixel_x < side) & (pixel_y >= 0) & (pixel_y < side)
    triangle, row, column = triangle[shown], row[shown], column[shown]
    flat = np.stack([weight[triangle, row, column] for weight in weights], axis=1)
    # One over depth is what runs straight across an image.
    nearness = flat / depths[triangle]
    total = nearness.sum(axis=1)
    weight = (nearness / total[:, None]).astype(np.float32)
    return Hits((pixel_y * side + pixel_x)[shown], triangle, weight, 1 / total)


def _barycentric(corners: Floats, reach: int) -> tuple[Floats, Floats, Floats]:
    """Return each corner's weight, (m, reach, reach), at the middles of a square of pixels.

    A weight is a plane over the image: its slopes are found once for each triangle.
    """
    x, y = corners[..., 0, None, None], corners[..., 1, None, None]
    middle = np.arange(reach, dtype=np.float32) + np.float32(0.5)
    area = _doubled_area(corners)[:, None, None]
    to_x = middle - x[:, 2]
    to_y = middle[:, None] - y[:, 2]
    first = (y[:, 1] - y[:, 2]) / area * to_x + (x[:, 2] - x[:, 1]) / area * to_y
    second = (y[:, 2] - y[:, 0]) / area * to_x + (x[:, 0] - x[:, 2]) / area * to_y
    return first, second, 1 - first - second


def _nearest_of(found: list[Hits], nearest: Floats) -> Hits:
    pixels = np.concatenate([hits.pixels for hits in found])
    depths = np.concatenate([hits.depths for hits in found])
    seen = np.flatnonzero(depths <= nearest[pixels])
    # Two triangles that share an edge may be equally near: the first one is shown.
    pixels, first = np.unique(pixels[seen], return_index=True)
    seen = seen[first]
    triangles = np.concatenate([hits.triangles for hits in found])
    weights = np.concatenate([hits.weights for hits in found])
    return Hits(pixels, triangles[seen], weights[seen], depths[seen])
