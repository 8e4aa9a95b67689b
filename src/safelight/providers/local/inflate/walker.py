"""Refines per-pixel hints by a random walk: neighbors of similar color agree.

L. Grady, "Multilabel Random Walker Image Segmentation Using Prior Models", CVPR 2005. Like a graph
cut it puts the outline where the colors change, but it is a linear system.
"""

from typing import cast

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from safelight.providers.local.inflate.arrays import Floats, Ints

_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # with their opposites: all eight neighbors
_OWN_OPINION = 0.05  # weight of a pixel's own hint relative to a neighbor of its color
_LEAST_TIE = 1e-4  # minimum weight between neighbors of different color
_TOLERANCE = 1e-3
_MOST_ROUNDS = 200


def random_walk(hints: Floats, lab: Floats) -> Floats:
    """Return hints (rows, columns), 0 to 1, diffused along the colors `lab` (rows, columns, 3)."""
    ties = _ties(lab)
    total = np.asarray(ties.sum(axis=1)) + _OWN_OPINION
    system = sparse.diags_array(total) - ties
    own = hints.ravel().astype(np.float64)
    # An unconverged solution is good enough: only its side of a half matters.
    solution, _ = linalg.cg(
        system,
        _OWN_OPINION * own,
        x0=own,
        rtol=_TOLERANCE,
        maxiter=_MOST_ROUNDS,
        M=sparse.diags_array(1 / total),
    )
    return cast("Floats", solution).astype(np.float32).reshape(hints.shape)


def _ties(lab: Floats) -> sparse.csr_array:
    """Return the similarity of neighboring pixels (n, n): 1 if alike, near 0 if not."""
    rows, columns = lab.shape[:2]
    index = np.arange(rows * columns, dtype=np.int64).reshape(rows, columns)
    pairs = [_neighbors(index, step) for step in _STEPS]
    one, other = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    flat = lab.reshape(-1, 3)
    squares = np.square(flat[one] - flat[other]).sum(axis=1, dtype=np.float64)
    usual = max(float(squares.mean()) if len(squares) else 0.0, 1e-6)
    apart = np.repeat([np.hypot(*step) for step in _STEPS], [len(pair[0]) for pair in pairs])
    strength = np.exp(-squares / usual) / apart + _LEAST_TIE
    half = sparse.coo_array((strength, (one, other)), shape=(len(flat), len(flat)))
    return sparse.csr_array(half + half.T)


def _neighbors(index: Ints, step: tuple[int, int]) -> tuple[Ints, Ints]:
    """Return the flat indices of all pixels that have a neighbor one step (down, across) away."""
    down, across = step
    rows, columns = index.shape
    from_left, to_left = max(0, -across), max(0, across)
    width = max(0, columns - abs(across))
    one = index[: rows - down, from_left : from_left + width]
    other = index[down:, to_left : to_left + width]
    return one.ravel(), other.ravel()
