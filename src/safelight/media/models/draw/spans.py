"""Converts triangles to horizontal spans of samples, vectorized.

A sample belongs to the triangle that contains it. A shared edge is walked from its upper end in
both triangles, so that no sample between them is missed or drawn twice.
"""

from collections.abc import Generator
from typing import NamedTuple

import numpy as np

from safelight.media.models.arrays import Floats, Ints

_ROWS = 400_000  # per batch, to bound memory


class Spans(NamedTuple):
    """Spans: the triangle, the row, and the columns from `first` up to but excluding `end`."""

    triangles: Ints
    rows: Ints
    first: Ints
    end: Ints


def cut(corners: Floats, side: int) -> Generator[Spans]:
    """Yield the spans that triangles (m, 3, 2) cover in an image of `side` by `side` samples."""
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
    """Return each triangle's edges (m, 7), and its first and end (exclusive) row.

    A row of edges has the upper and the middle corner, and the inverse slopes of the long, the
    upper and the lower edge.
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
    """Return two points with the upper one first."""
    turn = y1 < y0
    return (
        np.where(turn, x1, x0),
        np.where(turn, y1, y0),
        np.where(turn, x0, x1),
        np.where(turn, y0, y1),
    )


def split(chosen: Ints, most: int) -> Generator[Ints]:
    """Yield `chosen` in slices of at most `most`."""
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
    """Return, for each run, consecutive numbers starting at `first`, concatenated."""
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(first - before, lengths)
