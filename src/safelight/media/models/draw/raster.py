"""Rasterizes triangles: finds the nearest one at each sample, in numpy."""

from collections.abc import Callable, Generator
from typing import NamedTuple, TypeAlias

import numpy as np

from safelight.media.models.arrays import Bools, Floats, Ints
from safelight.media.models.draw.spans import Spans, batches, counted, cut, split

# Batch sizes, to bound memory.
_TRIANGLES, _SAMPLES, _PIXELS = 200_000, 1_000_000, 200_000
_LOW_BITS = 32
_LOW = (1 << _LOW_BITS) - 1


SAMPLES = 2
"""Samples per pixel, along each side."""


class Hits(NamedTuple):
    """Visible triangles: flat `pixels` (k,), each once, with the triangle it shows and where.

    `samples` are flat positions on the sample grid, and `shares` the fraction of a pixel's samples
    that show this triangle, 0 to 1.
    """

    pixels: Ints
    samples: Ints
    triangles: Ints
    shares: Floats


Sieve: TypeAlias = Callable[[Ints, Ints], Bools]
"""Decides which samples exist, from triangles (k,) and flat samples (k,)."""


class Raster:
    """The nearest triangle so far at each sample of a square image of `side` pixels."""

    def __init__(self, side: int) -> None:
        self._side = side
        # Nearness in the upper bits, as the bits of a positive float sort like the float itself.
        self._nearest = np.zeros((side * SAMPLES) ** 2, np.int64)

    def add(
        self, corners: Floats, nearness: Floats, chosen: Ints, sieve: Sieve | None = None
    ) -> None:
        """Draw the `chosen` triangles.

        `corners` (m, 3, 2) are positions on the image, x right and y down, in samples; `nearness`
        (m, 3) is 1 / depth, which is linear across the image.
        """
        for some in split(chosen, _TRIANGLES):
            slopes = _slopes(corners[some], nearness[some])
            for spans in cut(corners[some], self._side * SAMPLES):
                for part, samples, near in _samples(spans, slopes, self._side * SAMPLES):
                    triangles = some[part]
                    key = (near.view(np.int32).astype(np.int64) << _LOW_BITS) | triangles
                    if sieve is not None:
                        key *= sieve(triangles, samples)  # 0 is farther than everything
                    np.maximum.at(self._nearest, samples, key)

    def hits(self) -> Generator[Hits]:
        """Yield the visible triangles in batches; a pixel occurs once for each of its triangles."""
        shown = np.where(self._nearest > 0, self._nearest & _LOW, -1)
        grid = shown.reshape(self._side, SAMPLES, self._side, SAMPLES)
        places = [(down, across) for down in range(SAMPLES) for across in range(SAMPLES)]
        of_each = [grid[:, down, :, across].ravel() for down, across in places]
        for number, (down, across) in enumerate(places):
            triangles = of_each[number]
            is_new = triangles >= 0
            for before in of_each[:number]:
                is_new &= triangles != before
            for pixels in split(np.flatnonzero(is_new), _PIXELS):
                chosen = triangles[pixels]
                count = np.zeros(len(pixels), np.float32)
                for other in of_each[number:]:
                    count += other[pixels] == chosen
                row, column = np.divmod(pixels, self._side)
                samples = (row * SAMPLES + down) * self._side * SAMPLES + column * SAMPLES + across
                yield Hits(pixels, samples, chosen, count / np.float32(SAMPLES**2))


def covered(corners: Floats, side: int) -> Bools:
    """Return the mask (side, side) covered by any triangle, facing either way."""
    edges = np.zeros((side, side + 1), np.int64)
    for some in split(np.arange(len(corners)), _TRIANGLES):
        for spans in cut(corners[some], side):
            np.add.at(edges, (spans.rows, spans.first), 1)
            np.subtract.at(edges, (spans.rows, spans.end), 1)
    return np.cumsum(edges, axis=1)[:, :side] > 0


def weights(corners: Floats, x: Floats, y: Floats) -> Floats:
    """Return the barycentric weights (k, 3) of positions on the image."""
    (x0, y0), (x1, y1), (x2, y2) = (corners[:, k].T for k in range(3))
    area = doubled_area(corners)
    area[area == 0] = np.inf
    first = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) / area
    second = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) / area
    return np.stack([first, second, 1 - first - second], axis=1)


def doubled_area(corners: Floats) -> Floats:
    """Return twice the signed area; negative where corners turn counterclockwise as seen."""
    (x0, y0), (x1, y1), (x2, y2) = (corners[:, k].T for k in range(3))
    return (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)


def _slopes(corners: Floats, nearness: Floats) -> Floats:
    """Return (m, 3): the gradient of nearness to the right and downward, and its value at 0, 0."""
    (x0, y0), (x1, y1), (x2, y2) = (corners[:, k].T for k in range(3))
    area = doubled_area(corners)
    area[area == 0] = np.inf
    one, two = nearness[:, 1] - nearness[:, 0], nearness[:, 2] - nearness[:, 0]
    across = (one * (y2 - y0) - two * (y1 - y0)) / area
    down = (two * (x1 - x0) - one * (x2 - x0)) / area
    return np.stack([across, down, nearness[:, 0] - across * x0 - down * y0], axis=1)


def _samples(spans: Spans, slopes: Floats, side: int) -> Generator[tuple[Ints, Ints, Floats]]:
    """Yield triangles, flat samples and their nearness in single precision."""
    across = slopes[spans.triangles, 0]
    row = slopes[spans.triangles, 1] * (spans.rows + 0.5) + slopes[spans.triangles, 2]
    widths = spans.end - spans.first
    for some in batches(np.arange(len(widths)), widths, _SAMPLES):
        which = np.repeat(some, widths[some])
        columns = counted(spans.first[some], widths[some])
        near = row[which] + across[which] * (columns + 0.5)
        near = np.maximum(near, np.finfo(np.float32).tiny).astype(np.float32)
        yield spans.triangles[which], spans.rows[which] * side + columns, near
