"""Turns a model upright for formats whose readers take z to be up."""

import numpy as np

from safelight.media.models.formats.scene import Floats


def z_up(vectors: Floats) -> Floats:
    """Return vectors (n, 3) with y's part in z: what was up stays up, and the front faces -y."""
    x, y, z = vectors.T
    return np.stack([x, -z, y], axis=1)
