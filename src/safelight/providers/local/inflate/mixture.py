"""Gaussian mixture of colors.

A. P. Dempster, N. M. Laird, D. B. Rubin, "Maximum Likelihood from Incomplete Data via the EM
Algorithm", 1977. Deterministic: the same colors give the same mixture.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np

from safelight.providers.local.inflate.arrays import Floats, Ints

_KINDS = 5  # as in GrabCut
_MAX_SAMPLES = 4000
_SORTING_ROUNDS, _FITTING_ROUNDS = 6, 8
_NEXT_KIND = 0.98  # quantile: the farthest color is usually noise
_LEAST_VARIANCE = 4.0  # CIELAB units, squared: indistinguishable colors are one component
_NEVER = 1e-6  # samples: keeps an empty component harmless


@dataclass(frozen=True, slots=True)
class Mixture:
    """Components: the weight of each (k,), its mean (k, 3) and covariance (k, 3, 3)."""

    shares: Floats
    means: Floats
    covariances: Floats

    def log_density(self, colors: Floats) -> Floats:
        """Return the natural log density (...) of the colors (..., 3)."""
        return np.logaddexp.reduce(self._log_densities(colors.reshape(-1, 3)), axis=0).reshape(
            colors.shape[:-1]
        )

    def belonging(self, colors: Floats) -> Floats:
        """Return (k, n): the responsibility of each component for each of the colors (n, 3)."""
        each = self._log_densities(colors)
        return np.exp(each - np.logaddexp.reduce(each, axis=0))

    def without_rare(self, least: float) -> "Mixture":
        """Return the mixture without components of weight under `least`, keeping at least one."""
        kept = self.shares >= min(least, float(self.shares.max()))
        shares = self.shares[kept]
        return Mixture(shares / shares.sum(), self.means[kept], self.covariances[kept])

    def _log_densities(self, colors: Floats) -> Floats:
        result = np.empty((len(self.shares), len(colors)), np.float32)
        for kind, (share, mean, covariance) in enumerate(
            zip(self.shares, self.means, self.covariances, strict=True)
        ):
            root = cast("Floats", np.linalg.cholesky(covariance))
            off: Floats = (colors - mean) @ np.linalg.inv(root).T
            scale = np.log(share) - np.log(np.diag(root)).sum() - 1.5 * np.log(2 * np.pi)
            result[kind] = scale - 0.5 * np.einsum("ij,ij->i", off, off)
        return result


def fit_mixture(colors: Floats) -> Mixture:
    """Return the maximum-likelihood mixture of the colors (n, 3); at least one color."""
    chosen = colors[:: len(colors) // _MAX_SAMPLES + 1].astype(np.float64)
    kinds = _sorted_into_kinds(chosen)
    belonging = (np.arange(_KINDS)[:, None] == kinds).astype(np.float64)
    for _ in range(_FITTING_ROUNDS):
        mixture = _mixture_of(chosen, belonging)
        belonging = mixture.belonging(chosen).astype(np.float64)
    return _mixture_of(chosen, belonging)


def _sorted_into_kinds(colors: Floats) -> Ints:
    """Return each color's component (n,): k-means, seeded with colors far from each other."""
    middles = colors.mean(axis=0, keepdims=True)
    for _ in range(_KINDS - 1):
        order = np.argsort(_squares_to(colors, middles).min(axis=0), kind="stable")
        far = colors[order[int(_NEXT_KIND * (len(order) - 1))]]
        middles = np.concatenate([middles, far[None]])
    for _ in range(_SORTING_ROUNDS):
        kinds = _squares_to(colors, middles).argmin(axis=0)
        for kind in np.unique(kinds):
            middles[kind] = colors[kinds == kind].mean(axis=0)
    return _squares_to(colors, middles).argmin(axis=0)


def _squares_to(colors: Floats, middles: Floats) -> Floats:
    return np.stack([np.square(colors - middle).sum(axis=1) for middle in middles])


def _mixture_of(colors: Floats, belonging: Floats) -> Mixture:
    weight = belonging.sum(axis=1) + _NEVER
    means = belonging @ colors / weight[:, None]
    covariances = np.empty((len(weight), 3, 3))
    for kind, (part, mean) in enumerate(zip(belonging, means, strict=True)):
        off = colors - mean
        covariances[kind] = (off * part[:, None]).T @ off / weight[kind]
    covariances += _LEAST_VARIANCE * np.eye(3)
    return Mixture(weight / weight.sum(), means, covariances)
