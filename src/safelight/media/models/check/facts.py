"""Limits on 3D models, and the facts read from one."""

from dataclasses import dataclass

from safelight.json_object import JsonObject

Place = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ModelRules:
    """Limits on a 3D model; a file beyond them is rejected before anything is decoded.

    Triangles and vertices count once per instance in the scene. A texture's pixels are width times
    height.
    """

    max_triangles: int = 2_000_000
    max_vertices: int = 4_000_000
    max_nodes: int = 20_000
    max_depth: int = 256  # of nested nodes
    max_parts: int = 50_000  # in any other list: accessors, primitives, materials …
    max_textures: int = 256
    max_texture_pixels: int = 8192 * 8192
    max_pixels: int = 4 * 8192 * 8192  # of all textures together


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts read from a model; sizes in meters, of its scene at rest.

    If the geometry is packed by one of its `extensions`, or there is none, the counts are those
    that the file declares, and `box` and `watertight` are None. `undrawn` is the reason why it has
    no pictures, or empty.
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

    def document(self) -> JsonObject:
        """Return the facts without an asset column, as JSON values."""
        sure: JsonObject = {
            "triangles": self.triangles,
            "vertices": self.vertices,
            "meshes": self.meshes,
            "materials": self.materials,
            "textures": self.textures,
            "animations": self.animations,
            "skins": self.skins,
        }
        return sure | self._measures() | self._words()

    def _measures(self) -> JsonObject:
        """Return the facts derived from geometry: the box as two corners, and its sides."""
        found: JsonObject = {}
        if self.watertight is not None:
            found["watertight"] = self.watertight
        if self.box is not None:
            low, high = self.box
            found["bounding_box"] = {"min": list(low), "max": list(high)}
            sides = (top - bottom for bottom, top in zip(low, high, strict=True))
            found["bounding_box_m"] = [_rounded(side) for side in sides]
        return found

    def _words(self) -> JsonObject:
        words = {
            "generator": self.generator,
            "extensions": list(self.extensions),
            "undrawn": self.undrawn,
        }
        return {name: said for name, said in words.items() if said}


def _rounded(length: float) -> float:
    """Round to six significant digits; more would be subtraction noise."""
    return float(f"{length:.6g}")
