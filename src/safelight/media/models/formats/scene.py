"""The model that all writers take: flat parts in one coordinate space, each with a material.

Axes as in glTF: x to the right, y up, z toward the viewer; meters. Colors are linear, 0 to 1.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]


class Wrap(StrEnum):
    """The wrap mode beyond a texture's edge."""

    REPEAT = "repeat"
    MIRROR = "mirror"
    CLAMP = "clamp"


class Opacity(StrEnum):
    """How a material's alpha is interpreted."""

    OPAQUE = "opaque"  # ignored
    MASK = "mask"  # visible if it reaches the cutoff
    BLEND = "blend"


@dataclass(frozen=True, slots=True, eq=False)
class TextureImage:
    """An encoded picture, PNG or JPEG according to `ending`."""

    data: bytes
    ending: str


@dataclass(frozen=True, slots=True)
class Texture:
    """A picture mapped to a surface, and its wrap modes."""

    picture: TextureImage
    across: Wrap = Wrap.REPEAT
    down: Wrap = Wrap.REPEAT


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A material: factors, and the textures they multiply.

    The green channel of `surface` is roughness, the blue channel metalness.
    """

    name: str = ""
    color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    color_texture: Texture | None = None
    metallic: float = 1.0
    roughness: float = 1.0
    surface: Texture | None = None
    normal: Texture | None = None
    normal_scale: float = 1.0
    occlusion: Texture | None = None
    emission: tuple[float, float, float] = (0.0, 0.0, 0.0)
    emission_texture: Texture | None = None
    opacity: Opacity = Opacity.OPAQUE
    cutoff: float = 0.5
    is_double_sided: bool = False

    @property
    def textures(self) -> list[Texture]:
        every = (
            self.color_texture,
            self.surface,
            self.normal,
            self.occlusion,
            self.emission_texture,
        )
        return [texture for texture in every if texture]


@dataclass(frozen=True, slots=True)
class Part:
    """A surface of one material: points (n, 3) and triangles (m, 3), counterclockwise from outside.

    `normals` (n, 3) have unit length; without them the triangles are flat. Texture coordinates `uv`
    (n, 2) have 0, 0 at a picture's lower left corner. `colors` (n, 4) multiply the material's.
    """

    name: str
    points: Floats
    triangles: Ints
    material: Material
    normals: Floats | None = None
    uv: Floats | None = None
    colors: Floats | None = None


@dataclass(frozen=True)
class Scene:
    """A whole model."""

    parts: tuple[Part, ...]

    @cached_property
    def materials(self) -> list[Material]:
        """Each material once, in the order of the parts."""
        return list(dict.fromkeys(part.material for part in self.parts))

    @cached_property
    def pictures(self) -> list[TextureImage]:
        """Each picture once, in the order of the materials."""
        used = (texture.picture for material in self.materials for texture in material.textures)
        return list(dict.fromkeys(used))
