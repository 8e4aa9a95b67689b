"""Walks the tree of glTF nodes and computes their transforms.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#transformations
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from safelight.json_object import JsonObject
from safelight.media.errors import MediaTruncated
from safelight.media.models.formats.document import Document

Matrix: TypeAlias = npt.NDArray[np.float64]
"""(4, 4), applied to column vectors."""


def placed_nodes(document: Document) -> dict[int, Matrix]:
    """Return the scene's nodes in depth-first order, with their global transforms."""
    found: dict[int, Matrix] = {}
    waiting = [(index, np.eye(4)) for index in reversed(_roots(document))]
    while waiting:
        index, parent = waiting.pop()
        if index in found:
            raise MediaTruncated("The 3D file's nodes are no tree.")
        node = document.item("nodes", index)
        found[index] = parent @ _matrix(node)
        if not np.isfinite(found[index]).all():
            raise MediaTruncated("A node of the 3D file has no place.")
        waiting += [(child, found[index]) for child in reversed(node.get("children", []))]
    return found


def _roots(document: Document) -> list[int]:
    if document.items("scenes"):
        return document.item("scenes", document.json.get("scene", 0)).get("nodes", [])
    nodes = document.items("nodes")
    children = {child for node in nodes for child in node.get("children", [])}
    return [index for index in range(len(nodes)) if index not in children]


def _matrix(node: JsonObject) -> Matrix:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    placed = np.eye(4)
    placed[:3, :3] = _turned(node.get("rotation", (0, 0, 0, 1))) * np.array(
        node.get("scale", (1, 1, 1)), np.float64
    )
    placed[:3, 3] = node.get("translation", (0, 0, 0))
    return placed


def _turned(quaternion: tuple[float, float, float, float]) -> Matrix:
    x, y, z, w = np.array(quaternion, np.float64) / (np.linalg.norm(quaternion) or 1)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
