"""What a 3D model may be, and what is known of it once it has been looked at."""

from dataclasses import dataclass
from typing import Any

Place = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ModelRules:
    """What a 3D model may be; beyond it a file is refused before anything is decoded.

    Triangles and vertices count as often as the scene shows them. A texture's pixels are width
    times height.
    """

    max_triangles: int = 2_000_000
    max_vertices: int = 4_000_000
    max_nodes: int = 20_000
    max_depth: int = 256  # of nodes below nodes
    max_parts: int = 50_000  # of any other kind: accessors, primitives, materials …
    max_textures: int = 256
    max_texture_pixels: int = 8192 * 8192
    max_pixels: int = 4 * 8192 * 8192  # of all textures together


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the bytes of a model say; sizes in meters, as its scene shows it at rest.

    Where the geometry is packed in a way that only its `extensions` name, or there is none, the
    counts are what the file claims, and `box` and `watertight` are None.
    `undrawn` says why there are no pictures of it; it is empty where there are.
    """

    triangles: int
    vertices: int
    meshes: int
    materials: int
    textures: int
    animations: int
    skins: int
    box: tuple[Place, Place] | None
    watertight: bool | None
    generator: str
    extensions: tuple[str, ...]
    undrawn: str = ""

    def document(self) -> dict[str, Any]:
        """Return, fit for JSON, what an asset has no column for."""
        sure: dict[str, Any] = {
            "triangles": self.triangles,
            "vertices": self.vertices,
            "meshes": self.meshes,
            "materials": self.materials,
            "textures": self.textures,
            "animations": self.animations,
            "skins": self.skins,
        }
        return sure | self._measures() | self._words()

    def _measures(self) -> dict[str, Any]:
        """Return what needed the geometry: the box as two corners, and its sides."""
        found: dict[str, Any] = {}
        if self.watertight is not None:
            found["watertight"] = self.watertight
        if self.box is not None:
            low, high = self.box
            found["bounding_box"] = {"min": list(low), "max": list(high)}
            sides = (top - bottom for bottom, top in zip(low, high, strict=True))
            found["bounding_box_m"] = [_rounded(side) for side in sides]
        return found

    def _words(self) -> dict[str, Any]:
        words = {
            "generator": self.generator,
            "extensions": list(self.extensions),
            "undrawn": self.undrawn,
        }
        return {name: said for name, said in words.items() if said}


def _rounded(length: float) -> float:
    """Return six significant digits: more is the noise of a subtraction."""
    return float(f"{length:.6g}")
