"""Transforms a surface by its node or its skeleton.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#skins
"""

from collections.abc import Mapping

import numpy as np

from safelight.json_object import JsonObject
from safelight.media.models.formats.accessors import read_floats
from safelight.media.models.formats.document import Document
from safelight.media.models.formats.nodes import Matrix
from safelight.media.models.formats.scene import Floats, Ints

_TINY = 1e-30


def joint_matrices(document: Document, skin: JsonObject, places: Mapping[int, Matrix]) -> Matrix:
    """Return the skinning matrices (joints, 4, 4) of a skin at rest."""
    standing = np.stack([places[joint] for joint in skin["joints"]])
    if "inverseBindMatrices" not in skin:
        return standing
    # glTF stores matrices in column-major order.
    bound = read_floats(document, skin["inverseBindMatrices"], "MAT4").transpose(0, 2, 1)
    return standing @ bound[: len(standing)]


def vertex_matrices(hung: Ints, weights: Floats, joints: Matrix) -> Matrix:
    """Return each vertex's matrix (n, 4, 4), blended from its joints (n, k)."""
    shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), np.float32(_TINY))
    moved = np.zeros((len(hung), 4, 4))
    for k in range(hung.shape[1]):
        moved += shares[:, k, None, None] * joints[hung[:, k]]
    return moved


def move_points(points: Floats, matrix: Matrix) -> Floats:
    """Transform points (n, 3) by one matrix, or each by its own of (n, 4, 4)."""
    moved = (matrix[..., :3, :3] @ points[..., None])[..., 0] + matrix[..., :3, 3]
    return moved.astype(np.float32)


def move_normals(normals: Floats, matrix: Matrix) -> Floats:
    """Transform normals (n, 3) and renormalize them."""
    moved = (_cofactors(matrix[..., :3, :3]) @ normals[..., None])[..., 0]
    moved *= np.where(np.linalg.det(matrix[..., :3, :3]) < 0, -1.0, 1.0)[..., None]
    length = np.linalg.norm(moved, axis=-1, keepdims=True)
    return (moved / np.maximum(length, _TINY)).astype(np.float32)


def is_mirrored(matrix: Matrix) -> bool:
    """Return whether a matrix (4, 4) flips handedness."""
    return bool(np.linalg.det(matrix[:3, :3]) < 0)


def _cofactors(matrix: Matrix) -> Matrix:
    """Return the cofactors: inverse transpose times determinant, also for singular matrices."""
    first, second, third = (matrix[..., k, :] for k in range(3))
    rows = (np.cross(second, third), np.cross(third, first), np.cross(first, second))
    return np.stack(rows, axis=-2)
