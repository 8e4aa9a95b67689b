"""Computes the height of a balloon over an outline: the square root of a Poisson solution.

-Δu = 1 inside, u = 0 on the outline. Over a disc of radius r that is u = (r² - d²) / 4, so 2√u is
exactly a ball, and over any other outline it is smooth inside and round at the rim.
"""

from typing import cast

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from safelight.providers.local.inflate.arrays import Bools, Floats, Ints
from safelight.providers.local.inflate.contour import part_inside

_STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))
_LOWEST = 1e-6
_BALL = 2.0  # √u times this turns a disc into a ball


def inflate(field: Floats) -> Floats:
    """Return the height at each point where `field` is positive, in grid units, in flat order.

    `field` (rows, columns) is not positive on its outermost ring. Every height is positive.
    """
    inside = field > 0
    equations, right = _equations(field, inside), np.ones(int(inside.sum()))
    solution = cast("Floats", linalg.spsolve(equations, right, permc_spec="MMD_AT_PLUS_A"))
    # The matrix is an M-matrix, so every value is positive; guard against rounding.
    return _BALL * np.sqrt(np.maximum(solution, _LOWEST))


def _equations(field: Floats, inside: Bools) -> sparse.csc_array:
    """Return the five-point Laplacian, with arms that end on the outline.

    A neighbor outside is replaced by the outline at a fraction t of the way, where u is 0: that
    puts 1/t on the diagonal and keeps the matrix symmetric (F. Gibou et al., "A
    Second-Order-Accurate Symmetric Discretization of the Poisson Equation on Irregular Domains",
    2002).
    """
    number = np.full(field.shape, -1)
    number[inside] = np.arange(inside.sum())
    diagonal = np.zeros(int(inside.sum()))
    rows: list[Ints] = []
    columns: list[Ints] = []
    for step in _STEPS:
        beside = np.roll(number, step, axis=(0, 1))[inside]
        value = np.roll(field, step, axis=(0, 1))[inside]
        within = beside >= 0
        diagonal += np.where(within, 1.0, 1 / part_inside(field[inside], np.minimum(value, 0)))
        rows.append(np.flatnonzero(within))
        columns.append(beside[within])
    size = len(diagonal)
    row, column = np.concatenate(rows), np.concatenate(columns)
    joints = sparse.coo_array((np.full(len(row), -1.0), (row, column)), shape=(size, size))
    return sparse.csc_array(sparse.diags_array(diagonal) + joints)
