"""Turns a mask into an outline on a grid just fine enough for a number of triangles."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from safelight.cpu import OutOfResources
from safelight.providers.local.inflate.arrays import Bools, Floats
from safelight.providers.local.inflate.contour import Sheet, cut_out
from safelight.providers.local.inflate.images import blur, distance_to, parts, read_grid, touched
from safelight.providers.local.inflate.picture import Box

_INSIDE = 0.5  # coverage
_MARGIN = 2  # cells around the object; the outermost ring must be outside
_FINEST = 0.25  # pixels: a finer grid only shows the pixels' corners
_MOST_CELLS = 420  # cells along the longest side, for any number of triangles
_FEWEST_CELLS = 5
_TRIANGLES_PER_CELL = 4  # two on either side
_ALIAS = 0.45  # of a cell: the smallest blur that hides the grid in the outline
_SOFTEN = 0.014  # of the longest side: the blur at full smoothing
_THIN = 0.85  # of a cell: half the width of parts too thin for the grid; above √½ none is lost
_CORNER = 4.0  # cells or blurs: a shorter lost part is just a corner
_COARSER = 1.08
_MOST_TRIES = 60  # after this many coarsenings, any outline is a single grid point


@dataclass(frozen=True, slots=True)
class Frame:
    """Position of a grid on a mask: its first point, in pixel indices, and pixels per cell."""

    left: float
    top: float
    pitch: float

    def to_pixels(self, places: Floats) -> Floats:
        """Return (n, 2) grid positions as x, y in pixel indices (0 is the first pixel's center)."""
        return places * self.pitch + np.array([self.left, self.top])

    def scaled(self, factor: float) -> "Frame":
        """Return the same position on a picture with `factor` times as many pixels per side."""
        middle = 0.5  # pixel indices start at the first pixel's center
        return Frame(
            (self.left + middle) * factor - middle,
            (self.top + middle) * factor - middle,
            self.pitch * factor,
        )

    def sample(self, values: Floats, shape: tuple[int, int], outside: float) -> Floats:
        """Return pixel `values` (rows, columns) interpolated at each point of a grid of `shape`."""
        down = self.top + self.pitch * np.arange(shape[0])
        across = self.left + self.pitch * np.arange(shape[1])
        return read_grid(values, down, across, outside=outside)


@dataclass(frozen=True, slots=True)
class Shape:
    """An outline: `field` (rows, columns) is positive inside, and `sheet` is that inside."""

    field: Floats
    sheet: Sheet
    frame: Frame


def fit_shape(
    coverage: Floats, smoothing: float, limit: int, count: Callable[[Sheet], int]
) -> Shape:
    """Return the finest shape of a mask with at most `limit` triangles, as `count` counts them.

    `coverage` (rows, columns) exceeds a half somewhere. A finished mesh is never decimated instead,
    which would tear holes.
    """
    inside = coverage > _INSIDE
    side = _longest_side(inside)
    pitch = max(np.sqrt(_TRIANGLES_PER_CELL * inside.sum() / limit), side / _MOST_CELLS, _FINEST)
    pitch = min(pitch, side / _FEWEST_CELLS)
    for _ in range(_MOST_TRIES):
        shape = _shape(coverage, inside, pitch, smoothing * _SOFTEN * side)
        triangles = count(shape.sheet)
        if triangles <= limit:
            return shape
        pitch *= max(_COARSER, np.sqrt(triangles / limit))
    raise OutOfResources(f"The outline does not fit into {limit} triangles.")


def texture_box(shape: Shape, mask_shape: tuple[int, int]) -> Box:
    """Return the part of the picture that the shape covers, as fractions of its sides."""
    rows, columns = mask_shape
    places = shape.frame.to_pixels(shape.sheet.places)
    low = places.min(axis=0) - 1
    high = places.max(axis=0) + 2
    return Box(
        left=max(0.0, low[0] / columns),
        top=max(0.0, low[1] / rows),
        right=min(1.0, high[0] / columns),
        bottom=min(1.0, high[1] / rows),
    )


def _shape(coverage: Floats, inside: Bools, pitch: float, soften: float) -> Shape:
    top, bottom, left, right = _bounds(inside)
    # The margin includes the outline even if blurring or thickening expands it.
    margin = _MARGIN * pitch
    cells = [
        int(np.ceil((last - first + 2 * margin) / pitch))
        for first, last in ((top, bottom), (left, right))
    ]
    grid = (cells[0] + 1, cells[1] + 1)
    frame = Frame(
        left=(left + right - cells[1] * pitch) / 2,
        top=(top + bottom - cells[0] * pitch) / 2,
        pitch=pitch,
    )
    sigma = max(_ALIAS * pitch, soften)
    smooth = blur(coverage, sigma, outside=0)
    field = frame.sample(smooth, grid, 0.0) - np.float32(_INSIDE)
    field = np.maximum(field, _thin_parts(inside, field, frame, sigma))
    field[[0, -1], :] = field[:, [0, -1]] = -_INSIDE
    return Shape(field, cut_out(field), frame)


def _thin_parts(inside: Bools, field: Floats, frame: Frame, sigma: float) -> Floats:
    """Return a field of the parts lost by the blur or the grid, as thin as the grid allows."""
    down, across = np.nonzero(inside)
    row = np.rint((down - frame.top) / frame.pitch).astype(np.int64)
    column = np.rint((across - frame.left) / frame.pitch).astype(np.int64)
    kept = np.zeros_like(inside)
    kept[down, across] = touched(field > 0)[row, column]
    lost = _worth_keeping(inside & ~kept, kept, _CORNER * max(frame.pitch, sigma))
    if not lost.any():
        return np.full(field.shape, -_INSIDE, np.float32)
    # Beyond the picture's edge the distance keeps growing.
    beyond = int(np.ceil((_MARGIN + 1) * frame.pitch))
    distance = distance_to(np.pad(lost, beyond))
    padded = Frame(frame.left + beyond, frame.top + beyond, frame.pitch)
    near = padded.sample(distance, (field.shape[0], field.shape[1]), float(sum(distance.shape)))
    return np.maximum(np.float32(_THIN) - near / np.float32(frame.pitch), np.float32(-_INSIDE))


def _worth_keeping(lost: Bools, kept: Bools, reach: float) -> Bools:
    """Return the lost parts, without tips of kept ones shorter than `reach`."""
    if not kept.any() or not lost.any():
        return lost
    labels, areas = parts(lost)
    farthest = np.zeros(len(areas), np.float32)
    np.maximum.at(farthest, labels[lost], distance_to(kept)[lost])
    return lost & (farthest > reach)[labels]


def _bounds(inside: Bools) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def _longest_side(inside: Bools) -> int:
    top, bottom, left, right = _bounds(inside)
    return 1 + max(bottom - top, right - left)
