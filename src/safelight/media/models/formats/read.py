"""Reads a binary glTF into a scene: transforms applied, instances expanded, materials resolved."""

import struct
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from safelight.json_object import JsonObject
from safelight.media.errors import MediaTruncated, MediaUnsupported
from safelight.media.models.formats import pose
from safelight.media.models.formats.document import Document, read_document
from safelight.media.models.formats.looks import Looks
from safelight.media.models.formats.nodes import Matrix, placed_nodes
from safelight.media.models.formats.scene import Floats, Part, Scene
from safelight.media.models.formats.surfaces import Surface, read_surface

# For the whole model, counting every instance.
_MOST_TRIANGLES = 2_000_000
_MOST_PARTS = 10_000
# Errors that an inconsistent description can cause.
_WRONG = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, struct.error)


def read_scene(path: Path) -> Scene:
    """Return the model in the file, at rest.

    Raises `MediaUnsupported` if the model is compressed, too large or has no surface, and
    `MediaTruncated` if the description does not match the data. Lines, points and morph targets are
    omitted.
    """
    with _describing():
        document = read_document(path)
        reader = _Reader(document, Looks(document), placed_nodes(document))
        parts = tuple(_bounded(reader.parts()))
    if not parts:
        raise MediaUnsupported("The 3D model has no surface.")
    return Scene(parts)


@contextmanager
def _describing() -> Generator[None]:
    """Turn any error caused by an inconsistent description into `MediaTruncated`."""
    try:
        yield
    except _WRONG as error:
        raise MediaTruncated("The 3D file's description does not fit its data.") from error


def _bounded(parts: Generator[Part]) -> Generator[Part]:
    triangles = 0
    for number, part in enumerate(parts):
        triangles += len(part.triangles)
        if triangles > _MOST_TRIANGLES or number >= _MOST_PARTS:
            raise MediaUnsupported("The 3D model has too many triangles or parts.")
        yield part


@dataclass(slots=True)
class _Reader:
    document: Document
    looks: Looks
    places: Mapping[int, Matrix]
    surfaces: dict[int, list[Surface]] = field(default_factory=dict[int, list[Surface]])

    def parts(self) -> Generator[Part]:
        for index, matrix in self.places.items():
            node = self.document.item("nodes", index)
            if "mesh" not in node:
                continue
            mesh = self.document.item("meshes", node["mesh"])
            name = str(node.get("name") or mesh.get("name") or "part")
            joints = self._joints(node)
            for surface in self._surfaces(node["mesh"], mesh):
                yield _placed(name, surface, matrix, joints)

    def _joints(self, node: JsonObject) -> Matrix | None:
        if "skin" not in node:
            return None
        skin = self.document.item("skins", node["skin"])
        return pose.joint_matrices(self.document, skin, self.places)

    def _surfaces(self, index: int, mesh: JsonObject) -> list[Surface]:
        """Return a mesh's surfaces, read once for all instances."""
        if index not in self.surfaces:
            read = (read_surface(self.document, self.looks, each) for each in mesh["primitives"])
            self.surfaces[index] = [surface for surface in read if surface]
        return self.surfaces[index]


def _placed(name: str, surface: Surface, matrix: Matrix, joints: Matrix | None) -> Part:
    triangles = surface.triangles
    if joints is not None and surface.joints is not None and surface.weights is not None:
        # Joints position a skinned mesh; its own node's transform is ignored.
        matrix = pose.vertex_matrices(surface.joints, surface.weights, joints)
    elif pose.is_mirrored(matrix):
        triangles = triangles[:, ::-1]
    normals = surface.normals
    return Part(
        name,
        _finite(pose.move_points(surface.points, matrix)),
        triangles,
        surface.material,
        None if normals is None else _mended(pose.move_normals(normals, matrix)),
        None if surface.uv is None else _mended(surface.uv),
        None if surface.colors is None else _mended(surface.colors),
    )


def _mended(values: Floats) -> Floats:
    """Replace NaN and infinities with 0: a flaw in appearance is no reason to reject the model."""
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _finite(values: Floats) -> Floats:
    if not np.isfinite(values).all():
        raise MediaTruncated("The 3D file has places that are no numbers.")
    return values
