"""A closed triangle mesh: built from a sheet and heights, measured, and scaled.

Axes are glTF's: x to the right, y up, z towards the viewer of the picture; in meters.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from safelight.providers.local.inflate.arrays import Floats, Ints
from safelight.providers.local.inflate.contour import Sheet

_CALMING = 3  # rounds of averaging normals with their neighbors'
_NEIGHBORS = 6.0  # of a typical vertex
_NOTHING = 0.5  # below it, a normal cannot be normalized


@dataclass(frozen=True, slots=True)
class Mesh:
    """Vertices (n, 3), unit normals (n, 3), texture coordinates (n, 2) and triangles (m, 3).

    Triangles are counterclockwise seen from outside. Texture coordinates are glTF's: 0, 0 is the
    picture's upper left corner.
    """

    vertices: Floats
    normals: Floats
    texture_places: Floats
    triangles: Ints

    @property
    def is_watertight(self) -> bool:
        """Whether each edge has exactly one triangle on either side, in the same orientation."""
        edges = np.concatenate([self.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
        size = len(self.vertices)
        there = np.sort(edges[:, 0] * size + edges[:, 1])
        back = np.sort(edges[:, 1] * size + edges[:, 0])
        distinct = bool((there[1:] != there[:-1]).all()) and bool(
            (edges[:, 0] != edges[:, 1]).all()
        )
        return len(edges) > 0 and distinct and bool((there == back).all())

    @property
    def volume(self) -> float:
        """The enclosed volume in cubic meters, negative if the mesh is inside out."""
        a, b, c = (self.vertices[self.triangles[:, k]].astype(np.float64) for k in range(3))
        return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)

    @property
    def size(self) -> tuple[float, float, float]:
        """Width, height and depth in meters."""
        x, y, z = (self.vertices.max(axis=0) - self.vertices.min(axis=0)).tolist()
        return float(x), float(y), float(z)


def balloon(sheet: Sheet, heights: Floats) -> tuple[Floats, Ints]:
    """Return vertices and triangles of the sheet raised to both sides by `heights`, 0 at the rim.

    Both halves share the rim's vertices, so there is no seam.
    """
    n = len(sheet.places)
    z = np.concatenate([heights, np.zeros(n - sheet.inner)])
    front = np.column_stack([sheet.places, z])
    behind = np.column_stack([sheet.places[: sheet.inner], -heights])
    mirrored = np.where(sheet.triangles < sheet.inner, sheet.triangles + n, sheet.triangles)
    return np.concatenate([front, behind]), np.concatenate([sheet.triangles, mirrored[:, ::-1]])


def plaque(sheet: Sheet, heights: Floats, rim: float) -> tuple[Floats, Ints]:
    """Return vertices and triangles of the sheet raised by `heights`, with walls and flat back."""
    n = len(sheet.places)
    z = np.concatenate([heights, np.full(n - sheet.inner, rim)])
    front = np.column_stack([sheet.places, z])
    behind = np.column_stack([sheet.places, np.zeros(n)])
    start, end = sheet.rim_edges().T
    walls = [
        np.stack([start, start + n, end], axis=1),
        np.stack([end, start + n, end + n], axis=1),
    ]
    faces = [sheet.triangles, sheet.triangles[:, ::-1] + n, *walls]
    return np.concatenate([front, behind]), np.concatenate(faces)


def finish(vertices: Floats, triangles: Ints, texture_places: Floats, size_m: float) -> Mesh:
    """Return the mesh with y up, centered, scaled to a largest side of `size_m`, with normals."""
    upright = vertices * np.array([1.0, -1.0, 1.0])
    low, high = upright.min(axis=0), upright.max(axis=0)
    placed = (upright - (low + high) / 2) * (size_m / (high - low).max())
    mesh = Mesh(
        vertices=placed.astype(np.float32),
        normals=np.zeros((len(placed), 3), np.float32),
        texture_places=np.clip(texture_places, 0, 1).astype(np.float32),
        triangles=triangles,
    )
    normals = calmed(smooth_normals(mesh.vertices, triangles), triangles)
    # Opposite sides may cancel out; any direction will do there.
    normals[np.linalg.norm(normals, axis=1) < _NOTHING] = (0.0, 0.0, 1.0)
    return replace(mesh, normals=normals.astype(np.float32))


def smooth_normals(vertices: Floats, triangles: Ints) -> Floats:
    """Return unit normals (n, 3): each vertex's triangles, weighted by their angle.

    G. Thürmer, C. A. Wüthrich, "Computing Vertex Normals from Polygonal Facets", 1998: unlike an
    area weight, this is independent of the triangulation.
    """
    corners = vertices[triangles].astype(np.float64)
    flat = _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    total = np.zeros((len(vertices), 3))
    for k in range(3):
        to_next = _unit(corners[:, (k + 1) % 3] - corners[:, k])
        to_last = _unit(corners[:, (k + 2) % 3] - corners[:, k])
        angle = np.arccos(np.clip(np.einsum("ij,ij->i", to_next, to_last), -1, 1))
        for axis in range(3):
            weights = flat[:, axis] * angle
            total[:, axis] += np.bincount(triangles[:, k], weights, minlength=len(vertices))
    return _unit(total)


def calmed(normals: Floats, triangles: Ints) -> Floats:
    """Return normals averaged with their neighbors', which hides the grid's steps."""
    size = len(normals)
    start, end = triangles.ravel(), triangles[:, [1, 2, 0]].ravel()
    # Every edge of a closed mesh is listed twice, once in each direction.
    beside = sparse.csr_array((np.ones(len(start)), (start, end)), shape=(size, size))
    for _ in range(_CALMING):
        normals = _unit(normals + beside @ normals / _NEIGHBORS)
    return normals


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
