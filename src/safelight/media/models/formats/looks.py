"""Reads glTF materials and textures; converts WebP textures to PNG.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#materials
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from safelight.json_object import JsonObject
from safelight.media.models.check.container import data_of
from safelight.media.models.formats.document import Document
from safelight.media.models.formats.pixels import as_png
from safelight.media.models.formats.scene import (
    Floats,
    Material,
    Opacity,
    Texture,
    TextureImage,
    Wrap,
)

_TRANSFORM, _WEBP = "KHR_texture_transform", "EXT_texture_webp"
_GLOSS = "KHR_materials_pbrSpecularGlossiness"
_WRAPS = {10497: Wrap.REPEAT, 33648: Wrap.MIRROR, 33071: Wrap.CLAMP}
_REPEAT = 10497
_ENDINGS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg"}


@dataclass(frozen=True, slots=True)
class Laying:
    """A texture mapping: the set of texture coordinates, and their transform."""

    places: int = 0
    offset: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0  # radians, counterclockwise
    scale: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def of(cls, reference: JsonObject) -> "Laying":
        moved = _extensions(reference).get(_TRANSFORM, {})
        x, y = moved.get("offset", (0, 0))
        across, down = moved.get("scale", (1, 1))
        return cls(
            moved.get("texCoord", reference.get("texCoord", 0)),
            (float(x), float(y)),
            float(moved.get("rotation", 0)),
            (float(across), float(down)),
        )

    def apply(self, uv: Floats) -> Floats:
        """Transform glTF's coordinates, whose origin is the upper left, to a lower left origin."""
        cosine, sine = np.cos(self.rotation), np.sin(self.rotation)
        turn = np.array([[cosine, sine], [-sine, cosine]])
        moved = (uv * np.array(self.scale)) @ turn.T + np.array(self.offset)
        return np.column_stack([moved[:, 0], 1 - moved[:, 1]]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Look:
    """A material and its texture mapping.

    The target formats have one mapping per material, so textures with a mapping different from the
    first one are omitted.
    """

    material: Material
    laying: Laying


class Looks:
    """The materials of one document, read lazily and cached."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._read = cache(self._look)
        self._picture = cache(self._load)

    def look(self, index: int | None) -> Look:
        """Return a material; glTF's default if `index` is None."""
        return self._plain if index is None else self._read(index)

    @cached_property
    def _plain(self) -> Look:
        return Look(Material(), Laying())

    def _look(self, index: int) -> Look:
        given = self._document.item("materials", index)
        body = _body(given)
        references = {
            "color_texture": body.get("baseColorTexture"),
            "surface": body.get("metallicRoughnessTexture"),
            "normal": given.get("normalTexture"),
            "occlusion": given.get("occlusionTexture"),
            "emission_texture": given.get("emissiveTexture"),
        }
        present = {key: reference for key, reference in references.items() if reference}
        layings = [Laying.of(reference) for reference in present.values()]
        laying = layings[0] if layings else Laying()
        textures = {
            key: self._texture(reference)
            for key, reference in present.items()
            if Laying.of(reference) == laying
        }
        return Look(_material(given, textures), laying)

    def _texture(self, reference: JsonObject) -> Texture:
        given = self._document.item("textures", reference["index"])
        webp = _extensions(given).get(_WEBP)
        source = given["source"] if webp is None else webp["source"]
        sampler: JsonObject = {}
        if "sampler" in given:
            sampler = self._document.item("samplers", given["sampler"])
        across, down = (_WRAPS[sampler.get(side, _REPEAT)] for side in ("wrapS", "wrapT"))
        return Texture(self._picture(source), across, down)

    def _load(self, index: int) -> TextureImage:
        given = self._document.item("images", index)
        data = (
            data_of(given["uri"])
            if "uri" in given
            else bytes(self._document.view(given["bufferView"]))
        )
        for start, ending in _ENDINGS.items():
            if data.startswith(start):
                return TextureImage(data, ending)
        return TextureImage(as_png(data), "png")


def _material(given: JsonObject, textures: Mapping[str, Texture]) -> Material:
    body = _body(given)
    red, green, blue, alpha = (float(part) for part in body.get("baseColorFactor", (1, 1, 1, 1)))
    glow = [float(part) for part in given.get("emissiveFactor", (0, 0, 0))]
    bumps: JsonObject = given.get("normalTexture", {})
    return Material(
        name=str(given.get("name", "")),
        color=(red, green, blue, alpha),
        color_texture=textures.get("color_texture"),
        metallic=float(body.get("metallicFactor", 1)),
        roughness=float(body.get("roughnessFactor", 1)),
        surface=textures.get("surface"),
        normal=textures.get("normal"),
        normal_scale=float(bumps.get("scale", 1)),
        occlusion=textures.get("occlusion"),
        emission=(glow[0], glow[1], glow[2]),
        emission_texture=textures.get("emission_texture"),
        opacity=Opacity(given.get("alphaMode", "OPAQUE").lower()),
        cutoff=float(given.get("alphaCutoff", 0.5)),
        is_double_sided=bool(given.get("doubleSided", False)),
    )


def _body(given: JsonObject) -> JsonObject:
    """Return the metallic-roughness properties, converted from the older specular-glossiness.

    https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0/Archived
    """
    gloss = _extensions(given).get(_GLOSS)
    if gloss is None:
        return given.get("pbrMetallicRoughness", {})
    return {
        "baseColorFactor": gloss.get("diffuseFactor", (1, 1, 1, 1)),
        "baseColorTexture": gloss.get("diffuseTexture"),
        "metallicFactor": 0,
        "roughnessFactor": 1 - gloss.get("glossinessFactor", 1),
    }


def _extensions(given: JsonObject) -> JsonObject:
    return given.get("extensions", {})
