"""Cuts the inside of an outline out of a grid: marching triangles.

Every cell is split into two triangles, and each triangle into an inside and an outside along the
field's zero line. Unlike marching squares this has no ambiguous case: for any field, the sheet is a
manifold whose border consists of simple closed loops.
"""

from dataclasses import dataclass

import numpy as np

from safelight.providers.local.inflate.arrays import Bools, Floats, Ints

_NEAREST = 0.05
"""Minimum distance of a cut from a corner, as a fraction of the edge: less makes slivers."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A flat triangulated region on a grid of (rows, columns).

    `places` (n, 2) are x and y in grid units, y down; the first `inner` of them are grid points,
    listed in `cells` by flat index, and the others are on the rim. `triangles` (m, 3) are clockwise
    with y down, which is counterclockwise with y up.
    """

    places: Floats
    cells: Ints
    triangles: Ints

    @property
    def inner(self) -> int:
        return len(self.cells)

    def rim_edges(self) -> Ints:
        """Return (k, 2): the edges of only one triangle, in that triangle's direction."""
        edges = np.concatenate([self.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
        # The zero line crosses a triangle once, and only that line joins two rim vertices.
        return edges[(edges >= self.inner).all(axis=1)]


def part_inside(inside: Floats, outside: Floats) -> Floats:
    """Return the position of the zero between an inside and an outside value, 0 at the inside."""
    return np.clip(inside / (inside - outside), _NEAREST, 1 - _NEAREST)


def cut_out(field: Floats) -> Sheet:
    """Return the sheet where `field` (rows, columns) is positive, except on its outermost ring.

    The sheet is empty if no value is positive.
    """
    rows, columns = field.shape
    flat = field.ravel()
    inside = flat > 0
    corners = _split_cells(rows, columns)
    count = inside[corners].sum(axis=1)
    whole = corners[count == 3]  # noqa: PLR2004  all corners of a triangle
    tips = _odd_first(corners[count == 1], inside, wanted=True)
    stumps = _odd_first(corners[count == 2], inside, wanted=False)  # noqa: PLR2004  all but one

    cut = _Cuts.of(
        np.concatenate([tips[:, [0, 1]], tips[:, [0, 2]], stumps[:, [1, 0]], stumps[:, [2, 0]]])
    )
    cells = np.flatnonzero(inside)
    number = np.full(rows * columns, -1)
    number[cells] = np.arange(len(cells))
    a, b, c, d = np.split(cut.number + len(cells), np.cumsum([len(tips), len(tips), len(stumps)]))
    triangles = np.concatenate(
        [
            number[whole],
            np.stack([number[tips[:, 0]], a, b], axis=1),
            np.stack([c, number[stumps[:, 1]], number[stumps[:, 2]]], axis=1),
            np.stack([c, number[stumps[:, 2]], d], axis=1),
        ]
    )
    return Sheet(
        np.concatenate([_place(cells, columns), cut.places(flat, columns)]), cells, triangles
    )


@dataclass(frozen=True, slots=True)
class _Cuts:
    """The grid edges that the zero line crosses: (k, 2) inside and outside end, each edge once.

    `number` maps every queried edge to its index.
    """

    edges: Ints
    number: Ints

    @classmethod
    def of(cls, edges: Ints) -> "_Cuts":
        # Two triangles share an edge and its one vertex; the inside end comes first.
        size = int(edges.max(initial=0)) + 1
        keys, number = np.unique(edges[:, 0] * size + edges[:, 1], return_inverse=True)
        return cls(np.stack([keys // size, keys % size], axis=1), number)

    def places(self, flat: Floats, columns: int) -> Floats:
        start, end = (_place(self.edges[:, side], columns) for side in (0, 1))
        part = part_inside(flat[self.edges[:, 0]], flat[self.edges[:, 1]])
        return start + (end - start) * part[:, None]


def _split_cells(rows: int, columns: int) -> Ints:
    """Return (2 * cells, 3): the flat indices of every cell's two triangles."""
    index = np.arange(rows * columns).reshape(rows, columns)
    nw, ne = index[:-1, :-1].ravel(), index[:-1, 1:].ravel()
    sw, se = index[1:, :-1].ravel(), index[1:, 1:].ravel()
    return np.concatenate([np.stack([nw, sw, se], axis=1), np.stack([nw, se, ne], axis=1)])


def _odd_first(corners: Ints, inside: Bools, *, wanted: bool) -> Ints:
    """Rotate each triangle, keeping its direction, so that its one `wanted` corner is first."""
    first = (inside[corners] == wanted).argmax(axis=1)
    turned = (first[:, None] + np.arange(3)) % 3
    return np.take_along_axis(corners, turned, axis=1)


def _place(index: Ints, columns: int) -> Floats:
    return np.stack([index % columns, index // columns], axis=1).astype(np.float64)
