"""Writes a USDZ: a zip of uncompressed files, each aligned to 64 bytes.

https://openusd.org/release/spec_usdz.html
"""

from pathlib import Path

from safelight.media.models.formats.archive import Archive
from safelight.media.models.formats.scene import Scene
from safelight.media.models.formats.usda import write_usda

_ALIGNMENT = 64


def write_usdz(scene: Scene, target: Path, _name: str) -> None:
    """Write the package, with generic file names inside; no reader shows them."""
    pictures = {
        picture: f"textures/{number}.{picture.ending}"
        for number, picture in enumerate(scene.pictures, 1)
    }
    with Archive(target, align=_ALIGNMENT) as archive:
        with archive.file("model.usda") as file:  # the first file is the package's entry point
            write_usda(file, scene, pictures)
        for picture, name in pictures.items():
            with archive.file(name) as file:
                file.write(picture.data)
