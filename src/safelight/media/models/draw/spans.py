"""Cuts triangles into runs of samples, row by row, many at once.

A sample belongs to the triangle that it lies in. An edge is followed from its upper end in both
triangles that share it, so that between them no sample is left out or taken twice.
"""

from collections.abc import Generator
from typing import NamedTuple

import numpy as np

from safelight.media.models.arrays import Floats, Ints

_ROWS = 400_000  # at once: it bounds the memory


class Spans(NamedTuple):
    """Runs of pixels: the triangle, the row, and the columns from `first` up to before `end`."""

    triangles: Ints
    rows: Ints
    first: Ints
    end: Ints


def cut(corners: Floats, side: int) -> Generator[Spans]:
    """Yield what the triangles (m, 3, 2) cover of an image of `side` by `side` samples."""
    edges, first, end = _edges(corners, side)
    tall = np.flatnonzero(end > first)
    for some in batches(tall, (end - first)[tall], _ROWS):
        which = np.repeat(some, (end - first)[some])
        rows = counted(first[some], (end - first)[some])
        x0, y0, x1, y1, long, upper, lower = edges[which].T
        down = rows + 0.5 - y0
        one, two = x0 + down * long, x0 + down * upper
        below = np.flatnonzero(rows + 0.5 >= y1)
        two[below] = x1[below] + (rows[below] + 0.5 - y1[below]) * lower[below]
        left = np.clip(np.ceil(np.minimum(one, two) - 0.5), 0, side).astype(np.int64)
        right = np.clip(np.ceil(np.maximum(one, two) - 0.5), 0, side).astype(np.int64)
        wide = np.flatnonzero(right > left)
        yield Spans(which[wide], rows[wide], left[wide], right[wide])


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


def split(chosen: Ints, most: int) -> Generator[Ints]:
    """Yield `chosen` in parts of at most `most`."""
    for start in range(0, len(chosen), most):
        yield chosen[start : start + most]


def batches(chosen: Ints, sizes: Ints, most: int) -> Generator[Ints]:
    """Yield runs of `chosen` whose sizes add up to about `most`."""
    total = np.cumsum(sizes)
    if not len(total):
        return
    stops = np.searchsorted(total, np.arange(most, int(total[-1]) + most, most))
    for start, stop in zip([0, *(stops + 1)], stops + 1, strict=False):
        if len(chosen[start:stop]):
            yield chosen[start:stop]


def counted(first: Ints, lengths: Ints) -> Ints:
    """Return for each run the numbers from `first` on, run after run."""
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(first - before, lengths)
