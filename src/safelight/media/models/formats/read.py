"""Reads a binary glTF into a scene: meshes placed, instances repeated, looks resolved."""

import struct
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from safelight.media.errors import MediaTruncated, MediaUnsupported
from safelight.media.models.formats import pose
from safelight.media.models.formats.document import Document, Json, read_document
from safelight.media.models.formats.looks import Looks
from safelight.media.models.formats.nodes import Matrix, placed_nodes
from safelight.media.models.formats.scene import Floats, Part, Scene
from safelight.media.models.formats.surfaces import Surface, read_surface

# Of the whole model, what stands in it many times counted each time.
_MOST_TRIANGLES = 2_000_000
_MOST_PARTS = 10_000
# What a description that contradicts itself or the data runs into.
_WRONG = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, struct.error)


def read_scene(path: Path) -> Scene:
    """Return the model in the file, as it stands before any animation.

    Raises `MediaUnsupported` for what is compressed, too much or no surface, and `MediaTruncated`
    where the description does not fit the data. Lines, points and morph targets are left out.
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
    """Turn what a wrong description runs into, whatever it is, into `MediaTruncated`."""
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

    def _joints(self, node: Json) -> Matrix | None:
        if "skin" not in node:
            return None
        skin = self.document.item("skins", node["skin"])
        return pose.joint_matrices(self.document, skin, self.places)

    def _surfaces(self, index: int, mesh: Json) -> list[Surface]:
        """Return a mesh's surfaces, read once however often it stands in the model."""
        if index not in self.surfaces:
            read = (read_surface(self.document, self.looks, each) for each in mesh["primitives"])
            self.surfaces[index] = [surface for surface in read if surface]
        return self.surfaces[index]


def _placed(name: str, surface: Surface, matrix: Matrix, joints: Matrix | None) -> Part:
    triangles = surface.triangles
    if joints is not None and surface.joints is not None and surface.weights is not None:
        # What hangs on a skeleton stands where that does, wherever its own node is.
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
    """Return the values with 0 for what is no number: a flaw in the looks, which costs no model."""
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _finite(values: Floats) -> Floats:
    if not np.isfinite(values).all():
        raise MediaTruncated("The 3D file has places that are no numbers.")
    return values
