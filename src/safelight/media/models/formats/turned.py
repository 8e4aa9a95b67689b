"""Rotates a model for formats whose convention is z up."""

import numpy as np

from safelight.media.models.formats.scene import Floats


def z_up(vectors: Floats) -> Floats:
    """Rotate vectors (n, 3) from y up to z up; the front then faces -y."""
    x, y, z = vectors.T
    return np.stack([x, -z, y], axis=1)
