"""Converts a binary glTF to another 3D format: the function to run in a child.

This module is light, because the server imports it to name the function.
"""

import re
from enum import StrEnum
from pathlib import Path

_NAME_LENGTH = 60  # an extension follows, and file names are limited to 255 bytes
_UNSAFE = re.compile(r"[^\w-]+")  # ends a word in an OBJ, or is special to a file system


class ModelFormat(StrEnum):
    """An export format; models themselves are stored as binary glTF.

    Lengths stay in meters, though STL, PLY and OBJ do not record a unit. In OBJ and USDZ the y axis
    points up, as in glTF; in STL and PLY the z axis, as Blender and slicers expect.
    """

    OBJ = "obj"
    """A zip of the OBJ, its MTL and its textures."""
    STL = "stl"
    """The surface alone, binary."""
    PLY = "ply"
    """The surface with a color at each vertex, binary."""
    USDZ = "usdz"
    """Augmented reality on Apple devices."""

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[self]

    @property
    def ending(self) -> str:
        """The file name extension, with its dot."""
        return ".zip" if self is ModelFormat.OBJ else f".{self.value}"


_MEDIA_TYPES = {
    ModelFormat.OBJ: "application/zip",
    ModelFormat.STL: "model/stl",
    ModelFormat.PLY: "model/ply",  # not registered, but common
    ModelFormat.USDZ: "model/vnd.usdz+zip",
}


def convert(source: Path, format: ModelFormat, folder: Path, name: str) -> Path:  # noqa: A002
    """Return the file written into `folder`, named after `name`; for a child process.

    The same source and name always give the same bytes. Raises `MediaUnsupported` for a model that
    is compressed or has no surface, and `MediaTruncated` for one with inconsistent parts.
    """
    from safelight.media.models.formats.write import write  # noqa: PLC0415  only children

    stem = _UNSAFE.sub("-", name).strip("-")[:_NAME_LENGTH] or "model"
    target = folder / f"{stem}{format.ending}"
    write(source, format.value, target, stem)
    return target
