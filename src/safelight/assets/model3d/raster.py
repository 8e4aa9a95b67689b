"""Finds which triangles each pixel shows: row by row of many triangles at once, in numpy.

A sample belongs to the triangle that it lies in. An edge is followed from its upper end in
both triangles that share it, so that between them no pixel is left out and none is taken twice.
"""

from collections.abc import Callable, Generator
from typing import NamedTuple, TypeAlias

import numpy as np

from safelight.assets.model3d.arrays import Bools, Floats, Ints

# At once: they bound the memory.
_TRIANGLES, _ROWS, _SAMPLES, _PIXELS = 200_000, 400_000, 1_000_000, 200_000
_LOW_BITS = 32
_LOW = (1 << _LOW_BITS) - 1


SAMPLES = 2
"""Of each pixel, a side."""


class Hits(NamedTuple):
    """What pixels show: flat `pixels` (k,), each once, the triangle that each shows and where.

    `samples` are flat places on the finer image, and `shares` the part of a pixel's samples that
    show this triangle, 0 to 1.
    """

    pixels: Ints
    samples: Ints
    triangles: Ints
    shares: Floats


class _Spans(NamedTuple):
    """Runs of pixels: the triangle, the row, and the columns from `first` up to before `end`."""

    triangles: Ints
    rows: Ints
    first: Ints
    end: Ints


Sieve: TypeAlias = Callable[[Ints, Ints], Bools]
"""Which samples are there at all, told by triangles (k,) and flat samples (k,)."""


class Raster:
    """The nearest triangle of each sample of a square image of `side` pixels, so far."""

    def __init__(self, side: int) -> None:
        self._side = side
        # Nearness in the upper bits, as the bits of a positive float sort like the float itself.
        self._nearest = np.zeros((side * SAMPLES) ** 2, np.int64)

    def add(
        self, corners: Floats, nearness: Floats, chosen: Ints, sieve: Sieve | None = None
    ) -> None:
        """Put the `chosen` of triangles on the image.

        `corners` (m, 3, 2) are places on the image, x right and y down, in samples; `nearness`
        (m, 3) is one over their depth, which is what runs straight across an image.
        """
        for some in _split(chosen, _TRIANGLES):
            slopes = _slopes(corners[some], nearness[some])
            for spans in _spans(corners[some], self._side * SAMPLES):
                for part, samples, near in _samples(spans, slopes, self._side * SAMPLES):
                    triangles = some[part]
                    key = (near.view(np.int32).astype(np.int64) << _LOW_BITS) | triangles
                    if sieve is not None:
                        key *= sieve(triangles, samples)  # 0 is farther than anything
                    np.maximum.at(self._nearest, samples, key)

    def hits(self) -> Generator[Hits]:
        """Yield what is seen, some of it at a time; a pixel comes once for each of its triangles."""
        shown = np.where(self._nearest > 0, self._nearest & _LOW, -1)
        grid = shown.reshape(self._side, SAMPLES, self._side, SAMPLES)
        places = [(down, across) for down in range(SAMPLES) for across in range(SAMPLES)]
        of_each = [grid[:, down, :, across].ravel() for down, across in places]
        for number, (down, across) in enumerate(places):
            triangles = of_each[number]
            is_new = triangles >= 0
            for before in of_each[:number]:
                is_new &= triangles != before
            for pixels in _split(np.flatnonzero(is_new), _PIXELS):
                chosen = triangles[pixels]
                count = np.zeros(len(pixels), np.float32)
                for other in of_each[number:]:
                    count += other[pixels] == chosen
                row, column = np.divmod(pixels, self._side)
                samples = (row * SAMPLES + down) * self._side * SAMPLES + column * SAMPLES + across
                yield Hits(pixels, samples, chosen, count / np.float32(SAMPLES**2))


def covered(corners: Floats, side: int) -> Bools:
    """Return (side, side): where any triangle is, whichever way it faces."""
    edges = np.zeros((side, side + 1), np.int64)
    for some in _split(np.arange(len(corners)), _TRIANGLES):
        for spans in _spans(corners[some], side):
            np.add.at(edges, (spans.rows, spans.first), 1)
            np.subtract.at(edges, (spans.rows, spans.end), 1)
    return np.cumsum(edges, axis=1)[:, :side] > 0


def weights(corners: Floats, x: Floats, y: Floats) -> Floats:
    """Return the part (k, 3) that each corner has in a place of its triangle, on the image."""
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


def _split(chosen: Ints, most: int) -> Generator[Ints]:
    for start in range(0, len(chosen), most):
        yield chosen[start : start + most]


def _slopes(corners: Floats, nearness: Floats) -> Floats:
    """Return (m, 3): how nearness grows to the right and downwards, and what it is at 0, 0."""
    (x0, y0), (x1, y1), (x2, y2) = (corners[:, k].T for k in range(3))
    area = doubled_area(corners)
    area[area == 0] = np.inf
    one, two = nearness[:, 1] - nearness[:, 0], nearness[:, 2] - nearness[:, 0]
    across = (one * (y2 - y0) - two * (y1 - y0)) / area
    down = (two * (x1 - x0) - one * (x2 - x0)) / area
    return np.stack([across, down, nearness[:, 0] - across * x0 - down * y0], axis=1)


def _spans(corners: Floats, side: int) -> Generator[_Spans]:
    edges, first, end = _edges(corners, side)
    tall = np.flatnonzero(end > first)
    for some in _batches(tall, (end - first)[tall], _ROWS):
        which = np.repeat(some, (end - first)[some])
        rows = _counted(first[some], (end - first)[some])
        x0, y0, x1, y1, long, upper, lower = edges[which].T
        down = rows + 0.5 - y0
        one, two = x0 + down * long, x0 + down * upper
        below = np.flatnonzero(rows + 0.5 >= y1)
        two[below] = x1[below] + (rows[below] + 0.5 - y1[below]) * lower[below]
        left = np.clip(np.ceil(np.minimum(one, two) - 0.5), 0, side).astype(np.int64)
        right = np.clip(np.ceil(np.maximum(one, two) - 0.5), 0, side).astype(np.int64)
        wide = np.flatnonzero(right > left)
        yield _Spans(which[wide], rows[wide], left[wide], right[wide])


def _edges(corners: Floats, side: int) -> tuple[Floats, Ints, Ints]:
    """Return each triangle's edges (m, 7), and its rows from the first up to before the end.

    Of the edges there are the upper and the middle corner, and how far to the right each row takes
    the long edge, the upper one and the lower one.
    """
    (x0, y0), (x1, y1), (x2, y2) = (corners[:, k].T for k in range(3))
    x0, y0, x1, y1 = _ordered(x0, y0, x1, y1)
    x1, y1, x2, y2 = _ordered(x1, y1, x2, y2)
    x0, y0, x1, y1 = _ordered(x0, y0, x1, y1)
    long, upper, lower = (x2 - x0, y2 - y0), (x1 - x0, y1 - y0), (x2 - x1, y2 - y1)
    slopes = [across / np.where(down > 0, down, np.inf) for across, down in (long, upper, lower)]
    first = np.clip(np.ceil(y0 - 0.5), 0, side).astype(np.int64)
    end = np.clip(np.ceil(y2 - 0.5), 0, side).astype(np.int64)
    return np.stack([x0, y0, x1, y1, *slopes], axis=1), first, end


def _ordered(
    x0: Floats, y0: Floats, x1: Floats, y1: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return two places with the upper one first."""
    turn = y1 < y0
    return (
        np.where(turn, x1, x0),
        np.where(turn, y1, y0),
        np.where(turn, x0, x1),
        np.where(turn, y0, y1),
    )


def _samples(spans: _Spans, slopes: Floats, side: int) -> Generator[tuple[Ints, Ints, Floats]]:
    """Yield triangles, flat samples and their nearness in single precision."""
    across = slopes[spans.triangles, 0]
    row = slopes[spans.triangles, 1] * (spans.rows + 0.5) + slopes[spans.triangles, 2]
    widths = spans.end - spans.first
    for some in _batches(np.arange(len(widths)), widths, _SAMPLES):
        which = np.repeat(some, widths[some])
        columns = _counted(spans.first[some], widths[some])
        near = row[which] + across[which] * (columns + 0.5)
        near = np.maximum(near, np.finfo(np.float32).tiny).astype(np.float32)
        yield spans.triangles[which], spans.rows[which] * side + columns, near


def _batches(chosen: Ints, sizes: Ints, most: int) -> Generator[Ints]:
    """Yield runs of `chosen` whose sizes add up to about `most`."""
    total = np.cumsum(sizes)
    if not len(total):
        return
    stops = np.searchsorted(total, np.arange(most, int(total[-1]) + most, most))
    for start, stop in zip([0, *(stops + 1)], stops + 1, strict=False):
        if len(chosen[start:stop]):
            yield chosen[start:stop]


def _counted(first: Ints, lengths: Ints) -> Ints:
    """Return for each run the numbers from `first` on, run after run."""
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(first - before, lengths)
