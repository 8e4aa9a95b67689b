"""Finds the threshold that best splits numbers into two classes.

N. Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE Transactions on Systems,
Man and Cybernetics 9 (1979): the split with the largest variance between the classes.
"""

import numpy as np

from safelight.providers.local.inflate.arrays import Floats

_BINS = 256
_OUTLIERS = 99.5  # percentile: larger values are clipped, or they would stretch the scale


class NotTwoKinds(Exception):
    """All values are alike."""


def otsu(values: Floats) -> float:
    """Return Otsu's threshold of non-negative `values` of any shape."""
    top = float(np.percentile(values, _OUTLIERS))
    if top <= 0:
        top = float(values.max())  # the second class may be very small
    if top <= 0:
        raise NotTwoKinds
    counts, edges = np.histogram(np.minimum(values, top), _BINS, (0, top))
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    between = np.where((below > 0) & (above > 0), between, -1)
    if between.max() <= 0:
        raise NotTwoKinds
    # A gap between the classes is a plateau of equal splits: its middle is safest.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(edges[1 + int(best[len(best) // 2])])
