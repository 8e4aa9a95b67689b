"""Makes a file of another 3D format from a binary glTF: the function to run in a child.

This module is light, because the server imports it to name the function.
"""

import re
from enum import StrEnum
from pathlib import Path

_NAME_LENGTH = 60  # an ending comes after it, and names may hold 255 bytes
_UNSAFE = re.compile(r"[^\w-]+")  # ends a word in an OBJ, or means something to a file system


class ModelFormat(StrEnum):
    """A format that other programs open; the one that models are kept in is binary glTF.

    Lengths stay meters, though STL, PLY and OBJ files do not say so. In OBJ and USDZ y points up,
    as in glTF; in STL and PLY z does, as Blender and what prints models take such files to be.
    """

    OBJ = "obj"
    """A zip of the OBJ, its MTL and its textures."""
    STL = "stl"
    """The surface alone, binary."""
    PLY = "ply"
    """The surface with a color at each vertex, binary."""
    USDZ = "usdz"
    """What Apple's devices show in a room."""

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[self]

    @property
    def ending(self) -> str:
        """The ending of a file's name, with its dot."""
        return ".zip" if self is ModelFormat.OBJ else f".{self.value}"


_MEDIA_TYPES = {
    ModelFormat.OBJ: "application/zip",
    ModelFormat.STL: "model/stl",
    ModelFormat.PLY: "model/ply",  # not registered, but what others send
    ModelFormat.USDZ: "model/vnd.usdz+zip",
}


def convert(source: Path, format: ModelFormat, folder: Path, name: str) -> Path:  # noqa: A002
    """Return the file written into `folder`, named after `name`; for a child process.

    The same source and name always make the same bytes. Raises `MediaUnsupported` for a model that
    is compressed or has no surface, and `MediaTruncated` for one whose parts contradict each other.
    """
    from safelight.media.models.formats.write import write  # noqa: PLC0415  only children

    stem = _UNSAFE.sub("-", name).strip("-")[:_NAME_LENGTH] or "model"
    target = folder / f"{stem}{format.ending}"
    write(source, format.value, target, stem)
    return target
