"""Writes a zip of a Wavefront OBJ, its MTL and its textures.

Layouts: http://paulbourke.net/dataformats/obj/ and http://paulbourke.net/dataformats/mtl/, with
vertex colors and the MTL's physically based properties as Blender and three.js write and read
them.
"""

import re
from collections.abc import Iterable
from itertools import chain, count
from pathlib import Path
from typing import IO

import numpy as np

from safelight.media.models.formats.archive import Archive
from safelight.media.models.formats.pixels import to_encoded
from safelight.media.models.formats.scene import (
    Material,
    Opacity,
    Part,
    Scene,
    Texture,
    TextureImage,
)
from safelight.media.models.formats.text import write_rows

_UNSAFE = re.compile(r"[^\w.-]+")
_WORD_LENGTH = 60
_SHININESS = 1000  # of a mirror, as in Blender
_REFLECTED = 0.04  # by non-metals, at normal incidence


def write_obj(scene: Scene, target: Path, name: str) -> None:
    """Write the zip; y is up, the convention for OBJ."""
    pictures = _named(scene.pictures, name)
    materials = _material_names(scene.materials)
    with Archive(target) as archive:
        with archive.file(f"{name}.obj") as file:
            file.write(f"# Safelight: y up, meters\nmtllib {name}.mtl\n".encode())
            written = _Written()
            for part in scene.parts:
                written.add(file, part, materials[part.material])
        with archive.file(f"{name}.mtl") as file:
            for material, label in materials.items():
                file.write(_described(material, label, pictures).encode())
        for picture, file_name in pictures.items():
            with archive.file(file_name) as file:
                file.write(picture.data)


class _Written:
    """Counts of the elements written so far; OBJ indices are global to the file."""

    def __init__(self) -> None:
        self._points = self._places = self._normals = 0

    def add(self, file: IO[bytes], part: Part, material: str) -> None:
        file.write(f"o {_word(part.name)}\n".encode())
        if part.colors is None:
            write_rows(file, "v %.9g %.9g %.9g\n", part.points)
        else:
            seen = to_encoded(part.colors[:, :3])
            write_rows(file, "v %.9g %.9g %.9g %.4f %.4f %.4f\n", np.hstack([part.points, seen]))
        corner, offsets = "%d", [self._points]
        if part.uv is not None:
            write_rows(file, "vt %.9g %.9g\n", part.uv)
            corner, offsets = "%d/%d", [*offsets, self._places]
            self._places += len(part.uv)
        if part.normals is not None:
            write_rows(file, "vn %.6f %.6f %.6f\n", part.normals)
            corner = f"{corner}/%d" if part.uv is not None else "%d//%d"
            offsets.append(self._normals)
            self._normals += len(part.normals)
        self._points += len(part.points)
        file.write(f"usemtl {material}\n".encode())
        corners = part.triangles[:, :, None] + (np.array(offsets) + 1)
        write_rows(file, f"f {corner} {corner} {corner}\n", corners.reshape(len(corners), -1))


def _named(pictures: Iterable[TextureImage], name: str) -> dict[TextureImage, str]:
    """Return file names: the model's name for the first picture, then numbered ones."""
    return {
        picture: f"{name}{f'-{number}' if number > 1 else ''}.{picture.ending}"
        for number, picture in enumerate(pictures, 1)
    }


def _material_names(materials: Iterable[Material]) -> dict[Material, str]:
    names: dict[Material, str] = {}
    taken: set[str] = set()
    for number, material in enumerate(materials, 1):
        word = _word(material.name or "material")
        choices = chain([word], (f"{word}-{more}" for more in count(number)))
        names[material] = next(name for name in choices if name not in taken)
        taken.add(names[material])
    return names


def _described(material: Material, label: str, pictures: dict[TextureImage, str]) -> str:
    """Return a material's lines; its colors in sRGB, because most readers do not convert them.

    Roughness and metalness textures are omitted: MTL needs a separate picture for each.
    """
    red, green, blue, _ = material.color
    gloss = (1 - material.roughness) ** 2
    shine = [_REFLECTED * (1 - material.metallic) + c * material.metallic for c in material.color]
    is_clear = material.opacity is not Opacity.OPAQUE
    lines = [
        f"newmtl {label}",
        f"Kd {_color(red, green, blue)}",
        f"d {_opacity(material):.4f}",
        "illum 2",
    ]
    if material.surface is None:
        lines += [
            f"Ks {_color(*shine[:3])}",
            f"Ns {gloss * _SHININESS:.4f}",
            f"Pr {material.roughness:.4f}",
            f"Pm {material.metallic:.4f}",
        ]
    if any(material.emission):
        lines.append(f"Ke {_color(*material.emission)}")
    maps: dict[str, Texture | None] = {
        "map_Kd": material.color_texture,
        "map_d": material.color_texture if is_clear else None,
        "map_Ke": material.emission_texture,
        "norm": material.normal,
    }
    lines += [f"{word} {pictures[texture.picture]}" for word, texture in maps.items() if texture]
    return "".join(f"{line}\n" for line in lines) + "\n"


def _opacity(material: Material) -> float:
    alpha = material.color[3]
    match material.opacity:
        case Opacity.OPAQUE:
            return 1.0
        case Opacity.MASK:  # the texture's own alpha does the rest
            return float(alpha >= material.cutoff or material.color_texture is not None)
        case Opacity.BLEND:
            return alpha


def _color(*parts: float) -> str:
    return " ".join(f"{part:.4f}" for part in to_encoded(np.array(parts, np.float32)).tolist())


def _word(name: str) -> str:
    """Return a name without spaces, as OBJ requires."""
    return _UNSAFE.sub("-", name).strip("-")[:_WORD_LENGTH] or "part"
