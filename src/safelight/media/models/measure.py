"""Measures a model, from its description and from its geometry."""

import numpy as np

from safelight.media.models.arrays import Floats, Ints
from safelight.media.models.check.document import Document
from safelight.media.models.check.facts import ModelFacts, Place
from safelight.media.models.check.tree import shown, triangles_of, vertices_of
from safelight.media.models.formats.scene import Scene

_BITS = 21  # per axis of a packed position: three fit into 63
_GENERATOR_LENGTH = 200
_MOST_EXTENSIONS = 50


def facts_of(document: Document, scene: Scene | None) -> ModelFacts:
    """Return the facts; `scene` is None if the geometry is unreadable or absent."""
    meshes = [document.nodes[index].mesh for index in shown(document)]
    primitives = [
        part for mesh in meshes if mesh is not None for part in document.meshes[mesh].primitives
    ]
    triangles = sum(triangles_of(document, part) for part in primitives)
    vertices = sum(vertices_of(document, part) for part in primitives)
    box, watertight = None, None
    if scene is not None:
        triangles = sum(len(part.triangles) for part in scene.parts)
        points = np.concatenate([part.points for part in scene.parts])
        vertices, box = len(points), _box(points)
        watertight = is_watertight(points, _joined(scene))
    return ModelFacts(
        triangles=triangles,
        vertices=vertices,
        meshes=len(document.meshes),
        materials=len(document.materials),
        textures=len(document.images),
        animations=len(document.animations),
        skins=len(document.skins),
        box=box,
        watertight=watertight,
        generator=document.asset.generator[:_GENERATOR_LENGTH],
        extensions=tuple(name[:80] for name in document.extensions_used[:_MOST_EXTENSIONS]),
    )


def is_watertight(points: Floats, triangles: Ints) -> bool:
    """Return whether each edge is used equally often in both directions: there is no boundary.

    Points at the same position count as one, because texture seams and hard edges duplicate them.
    """
    corners = _places(points)[triangles]
    a, b, c = corners.T
    corners = corners[(a != b) & (b != c) & (c != a)]
    if not len(corners):
        return False
    start, end = corners.ravel(), corners[:, [1, 2, 0]].ravel()
    there = np.sort(start * len(points) + end)
    back = np.sort(end * len(points) + start)
    return bool((there == back).all())


def _places(points: Floats) -> Ints:
    """Return a number (n,) for each point's position, to a millionth of the model's size."""
    low = points.min(axis=0).astype(np.float64)
    extent = max(float((points.max(axis=0) - low).max()), np.finfo(np.float64).tiny)
    steps = np.rint((points - low) / extent * ((1 << _BITS) - 1)).astype(np.int64)
    names = (steps[:, 0] << 2 * _BITS) | (steps[:, 1] << _BITS) | steps[:, 2]
    return np.unique(names, return_inverse=True)[1]


def _joined(scene: Scene) -> Ints:
    counts = [len(part.points) for part in scene.parts]
    starts = np.cumsum(counts) - counts
    return np.concatenate(
        [part.triangles + start for part, start in zip(scene.parts, starts, strict=True)]
    )


def _box(points: Floats) -> tuple[Place, Place]:
    return _place(points.min(axis=0)), _place(points.max(axis=0))


def _place(point: Floats) -> Place:
    # As in the file: the shortest number with the same single-precision value.
    x, y, z = (float(str(part)) for part in point)
    return x, y, z
